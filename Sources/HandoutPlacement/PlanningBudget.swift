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

    /// A budget that ends when this one is used up to `end`, 0 ... 1. Evaluations count from the start of either.
    func part(upTo end: Double) -> PlanningBudget {
        let evaluations = evaluations == .max ? .max : Int(Double(evaluations) * end)
        return PlanningBudget(evaluations: evaluations, timeUsed: timeUsed.map { used in { used() / end } })
    }
}
