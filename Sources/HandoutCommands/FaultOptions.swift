import ArgumentParser
import HandoutScheduler

/// What goes wrong in a simulated run.
struct FaultOptions: ParsableArguments {
    @Option(name: .customLong("fail"), help: ArgumentHelp("Probability that an attempt fails.", valueName: "p"))
    var failureRate: Double = 0

    @Option(
        name: .customLong("slow"),
        help: ArgumentHelp("Probability that a worker is four times slower than it says.", valueName: "p"))
    var slowRate: Double = 0

    @Option(
        name: .customLong("lose"),
        help: ArgumentHelp("Probability, for each attempt, that its worker dies; it comes back.", valueName: "p"))
    var lossRate: Double = 0

    func validate() throws {
        for (name, rate) in [("--fail", failureRate), ("--slow", slowRate), ("--lose", lossRate)]
        where !(0...1).contains(rate) {
            throw ValidationError("\(name): expected a number from 0 to 1, got \(rate)")
        }
    }

    var rates: ClusterFaults {
        var faults = ClusterFaults()
        faults.failureRate = failureRate
        faults.slowRate = slowRate
        faults.deathRate = lossRate
        return faults
    }
}
