/// How long a planner may go on. Without any bound it ends only when it reaches its lower bound.
package struct PlanningBudget {
    /// Schedules made, whole or up to the point where one is given up.
    package var evaluations: Int
    /// The part of the time that is used up, from 0 on; 1 and more: the planner ends. Asked before each evaluation; for
    /// budgets of wall-clock time.
    package var timeUsed: (() -> Double)?

    package init(evaluations: Int = .max, timeUsed: (() -> Double)? = nil) {
        self.evaluations = evaluations
        self.timeUsed = timeUsed
    }

    /// The part that is used up after so many evaluations, the greater of both kinds.
    @inline(__always)
    func used(_ evaluations: Int) -> Double {
        max(Double(evaluations) / Double(self.evaluations), timeUsed?() ?? 0)
    }
}
