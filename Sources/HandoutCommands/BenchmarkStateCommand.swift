import ArgumentParser
import Handout
import HandoutCore
import HandoutPlan

/// `handout-lua benchmark-state`: what a Lua state costs that can run every task of a script. For `Benchmarks/run`.
struct BenchmarkStateCommand: ParsableCommand {
    static let configuration = CommandConfiguration.verb(
        "benchmark-state", abstract: "Measure a task state of a script.", shouldDisplay: false)

    @OptionGroup var options: ScriptOptions

    @Flag(help: "Find the functions by running the script again, as a host does that was sent the source.")
    var rerun = false

    @Option(help: "How often; the median is printed.")
    var runs = 11

    func run() throws {
        let (plan, parameters) = try options.plan(json: false)
        var runOptions = LocalRunOptions()
        runOptions.rerunsScript = rerun
        let run: LocalRun
        do { run = try LocalRun(plan: plan, parameters: parameters, options: runOptions) } catch {
            throw options.refused(error, json: false)
        }
        var times: [Double] = []
        var bytes = 0
        for _ in 0..<max(1, runs) {
            let begun = monotonicSeconds()
            bytes = run.measureState()
            times.append((monotonicSeconds() - begun) * 1000)
        }
        try StandardOutput.line("{\"milliseconds\":\(times.sorted()[times.count / 2]),\"bytes\":\(bytes)}")
    }
}
