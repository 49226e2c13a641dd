import HandoutCore

/// What `simulate` says of runs.
struct SimulationReport {
    let run: SimulatedRun

    init(_ run: SimulatedRun) { self.run = run }

    /// `{"allocator","makespan","cost","utilisation","bytes_moved","schedule"}` (keys and their meaning are relied on).
    var json: String {
        let workers = run.workers.map { TextEscape.json($0) }
        var text =
            "{\"allocator\":\(TextEscape.json(run.allocator)),\"makespan\":\(run.makespan),"
            + "\"cost\":\(run.cost),\"utilisation\":\(run.utilisation),\"bytes_moved\":\(run.bytesMoved),"
            + (run.waiting > 0 ? "\"waiting\":\(run.waiting)," : "")
            + (run.failed > 0 ? "\"failed\":\(run.failed)," : "") + "\"schedule\":["
        for (number, entry) in run.entries.enumerated() {
            if number > 0 { text += "," }
            text +=
                "{\"task\":\(TextEscape.json(entry.task)),\"worker\":\(workers[entry.worker]),"
                + "\"start\":\(entry.start),\"finish\":\(entry.finish)}"
        }
        return text + "]}"
    }

    /// A line for each run; of a single one the schedule follows, in the order of starts.
    static func table(_ runs: [SimulatedRun], deadline: Double?) -> String {
        var rows = [["allocator", "makespan", "cost", "utilisation", "bytes moved"]]
        for run in runs {
            let late = deadline.map { run.makespan > $0 } ?? false
            rows.append([
                run.allocator, shown(run.makespan) + (late ? " (late)" : ""), shown(run.cost),
                shown(100 * run.utilisation) + " %", shown(run.bytesMoved),
            ])
        }
        var text = columns(rows)
        for run in runs where run.waiting > 0 {
            text += "\n\(run.allocator): \(run.waiting) tasks wait for something that no worker has"
        }
        guard runs.count == 1, let run = runs.first else { return text }
        return text + "\n\n" + SimulationReport(run).schedule
    }

    /// Attempts in the order of starts, with start, finish and worker.
    var schedule: String { SimulationReport.columns(SimulationReport.list(run)) }

    private static func list(_ run: SimulatedRun) -> [[String]] {
        let entries = run.entries
        let order = entries.indices.sorted { left, right in
            (entries[left].start, entries[left].worker, left) < (entries[right].start, entries[right].worker, right)
        }
        return [["start", "finish", "worker", "task"]]
            + order.map { number in
                [
                    shown(entries[number].start), shown(entries[number].finish),
                    TextEscape.shown(run.workers[entries[number].worker]), TextEscape.shown(entries[number].task),
                ]
            }
    }

    /// Columns as wide as their widest text, two spaces between.
    private static func columns(_ rows: [[String]]) -> String {
        let widths = (rows.first ?? []).indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
        return rows.map { row in
            var line = ""
            for (column, text) in row.enumerated() {
                line += text
                if column < row.count - 1 { line += String(repeating: " ", count: widths[column] - text.count + 2) }
            }
            return line
        }.joined(separator: "\n")
    }

    static func shown(_ number: Double) -> String { ShownNumber.text(number) }
}
