import HandoutCore

/// A schedule as an SVG picture: a band a worker, in it as many lanes as tasks run there at once.
struct GanttChart {
    private let run: SimulatedRun
    private static let width = 1200.0, left = 140.0, laneHeight = 16.0, gap = 8.0, top = 40.0

    init(_ run: SimulatedRun) { self.run = run }

    var svg: String {
        let lanes = self.lanes()
        var body = ""
        var y = GanttChart.top
        for worker in run.workers.indices {
            let count = lanes.counts[worker]
            let height = Double(count) * GanttChart.laneHeight
            body += band(worker, y, height)
            for (task, entry) in run.entries.enumerated() where entry.worker == worker {
                body += bar(task, entry, y + Double(lanes.ofTask[task]) * GanttChart.laneHeight)
            }
            y += height + GanttChart.gap
        }
        body += axis(y)
        return """
            <svg xmlns="http://www.w3.org/2000/svg" width="\(Int(GanttChart.width))" height="\(Int(y + 30))" \
            font-family="sans-serif" font-size="11">
            <text x="10" y="22" font-size="15">\(TextEscape.markup(run.title)), \(TextEscape.markup(run.allocator)): \
            \(SimulationReport.shown(run.makespan))</text>
            \(body)</svg>

            """
    }

    /// The lane of each task, and how many lanes each worker has: the first that is free when it starts.
    private func lanes() -> (ofTask: [Int], counts: [Int]) {
        let entries = run.entries
        var ofTask = [Int](repeating: 0, count: entries.count)
        var freeFrom = [[Double]](repeating: [], count: run.workers.count)
        for task in entries.indices.sorted(by: { (entries[$0].start, $0) < (entries[$1].start, $1) }) {
            let entry = entries[task]
            let lane = freeFrom[entry.worker].firstIndex { $0 <= entry.start } ?? freeFrom[entry.worker].count
            if lane == freeFrom[entry.worker].count { freeFrom[entry.worker].append(0) }
            freeFrom[entry.worker][lane] = entry.finish
            ofTask[task] = lane
        }
        return (ofTask, freeFrom.map { max(1, $0.count) })
    }

    private func x(_ time: Double) -> Double {
        let span = run.makespan
        return GanttChart.left + (span > 0 ? time / span : 0) * (GanttChart.width - GanttChart.left - 10)
    }

    private func band(_ worker: Int, _ y: Double, _ height: Double) -> String {
        let name = String(run.workers[worker].prefix(20))
        let width = GanttChart.width - GanttChart.left - 10
        return """
            <text x="10" y="\(rounded(y + 12))">\(TextEscape.markup(name))</text>
            <rect x="\(rounded(GanttChart.left))" y="\(rounded(y))" width="\(rounded(width))" height="\(rounded(height))" \
            fill="#f2f2f2"/>

            """
    }

    private func bar(_ task: Int, _ entry: SimulatedRun.Entry, _ y: Double) -> String {
        let start = x(entry.start)
        let width = max(0.5, x(entry.finish) - start)
        let name = entry.task
        let times = "\(SimulationReport.shown(entry.start)) to \(SimulationReport.shown(entry.finish))"
        let label =
            width > 8 * Double(name.count)
            ? "<text x=\"\(rounded(start + 3))\" y=\"\(rounded(y + 12))\">\(TextEscape.markup(name))</text>" : ""
        return """
            <g><title>\(TextEscape.markup(name)): \(times)</title><rect x="\(rounded(start))" y="\(rounded(y + 1))" \
            width="\(rounded(width))" height="\(rounded(GanttChart.laneHeight - 2))" fill="hsl(\(task * 47 % 360),55%,72%)"/>\
            \(label)</g>

            """
    }

    private func axis(_ y: Double) -> String {
        (0...4).map { tick in
            let time = run.makespan * Double(tick) / 4
            let anchor = tick == 0 ? "start" : tick == 4 ? "end" : "middle"
            return "<text x=\"\(rounded(x(time)))\" y=\"\(rounded(y + 14))\" text-anchor=\"\(anchor)\">"
                + "\(SimulationReport.shown(time))</text>\n"
        }.joined()
    }

    private func rounded(_ number: Double) -> String { SimulationReport.shown(number) }
}
