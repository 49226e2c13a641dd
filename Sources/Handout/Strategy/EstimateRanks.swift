import HandoutCore

/// By declared row: estimated seconds from its start to the run's end on the longest path, at speed 1; rows without an
/// estimate count 1 (the upward rank of Topcuoglu, Hariri, Wu 2002, without transfers).
struct EstimateRanks {
    private let seconds: [Double]

    /// O(rows and references).
    init(_ graph: GraphColumns) {
        var seconds = [Double](repeating: 0, count: graph.count)
        // Rows refer to earlier rows only: from the last on, all that follow a row are done.
        for row in stride(from: graph.count - 1, through: 0, by: -1) {
            let task = TaskID(row)
            let request = graph.requests.requests[Int(graph.requests.ofOptions[Int(graph.optionIndices[row])])]
            let estimate = request.variants[0].estimate
            if !graph.kind(task).isHidden && graph.kind(task) != .input {
                seconds[row] += estimate > 0 ? Double(estimate) / 1e9 : 1
            }
            for word in graph.references(of: task) {
                let reference = Reference(word: word)
                switch reference.operation {
                case .task, .over, .own:
                    seconds[reference.payload] = max(seconds[reference.payload], seconds[row])
                default: continue
                }
            }
        }
        self.seconds = seconds
    }

    subscript(declared: Int) -> Double { declared < seconds.count ? seconds[declared] : 1 }
}
