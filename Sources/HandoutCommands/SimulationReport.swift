import HandoutCore
import HandoutPlacement

/// What `simulate` says of one schedule.
struct SimulationReport {
    let allocator: String
    let instance: PlacementInstance
    let schedule: Schedule

    /// `{"allocator","makespan","cost","utilisation","bytes_moved","schedule"}` (keys and their meaning are relied on).
    var json: String {
        let entries = schedule.entries.enumerated().map { task, entry in
            "{\"task\":\(TextEscape.json(instance.tasks[task].name)),"
                + "\"worker\":\(TextEscape.json(instance.workers[entry.worker].name)),"
                + "\"start\":\(entry.start),\"finish\":\(entry.finish)}"
        }
        return "{\"allocator\":\(TextEscape.json(allocator)),\"makespan\":\(schedule.makespan),"
            + "\"cost\":\(schedule.cost(in: instance)),\"utilisation\":\(schedule.utilisation(in: instance)),"
            + "\"bytes_moved\":\(schedule.bytesMoved(in: instance)),\"schedule\":[\(entries.joined(separator: ","))]}"
    }

    /// A line for each report; of a single one the schedule follows, in the order of starts.
    static func table(_ reports: [SimulationReport], deadline: Double?) -> String {
        var rows = [["allocator", "makespan", "cost", "utilisation", "bytes moved"]]
        for report in reports {
            let makespan = report.schedule.makespan
            let late = deadline.map { makespan > $0 } ?? false
            rows.append([
                report.allocator, shown(makespan) + (late ? " (late)" : ""),
                shown(report.schedule.cost(in: report.instance)),
                shown(100 * report.schedule.utilisation(in: report.instance)) + " %",
                shown(report.schedule.bytesMoved(in: report.instance)),
            ])
        }
        guard reports.count == 1, let report = reports.first else { return columns(rows) }
        return columns(rows) + "\n\n" + columns(report.list)
    }

    private var list: [[String]] {
        let entries = schedule.entries
        let order = entries.indices.sorted { left, right in
            (entries[left].start, entries[left].worker, left) < (entries[right].start, entries[right].worker, right)
        }
        return [["start", "finish", "worker", "task"]]
            + order.map { task in
                [
                    SimulationReport.shown(entries[task].start), SimulationReport.shown(entries[task].finish),
                    TextEscape.shown(instance.workers[entries[task].worker].name),
                    TextEscape.shown(instance.tasks[task].name),
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

    /// At most three decimals.
    static func shown(_ number: Double) -> String {
        guard abs(number) < 1e15 else { return "\(number)" }
        let thousandths = Int((abs(number) * 1000).rounded())
        var fraction = String(thousandths % 1000 + 1000).dropFirst()
        while fraction.last == "0" { fraction.removeLast() }
        return (number < 0 ? "-" : "") + "\(thousandths / 1000)" + (fraction.isEmpty ? "" : ".\(fraction)")
    }
}
