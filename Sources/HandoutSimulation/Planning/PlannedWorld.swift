package import HandoutPlacement
package import HandoutScheduler

/// What is expected of tasks and data, as a plan needs it.
package protocol PlannedWorld: SimulatedWorld {
    /// How the value of `input` comes to a row; `origin`: the declared row that `input` is or is made of.
    func size(of input: Int, origin: Int, to row: Int) -> PlacementInstance.Input.Size
}

extension EstimateWorld: PlannedWorld {
    package func size(of input: Int, origin: Int, to row: Int) -> PlacementInstance.Input.Size {
        .bytes(Double(bytes(input, origin: origin)))
    }
}

/// The same with lists as long as they have turned out to be.
struct CountedWorld: SimulatedWorld {
    let expected: any PlannedWorld
    /// By declared row.
    let known: [Int: Int]

    func duration(_ row: Int, origin: Int, worker: Int, variant: Int, speed: Double) -> UInt64 {
        expected.duration(row, origin: origin, worker: worker, variant: variant, speed: speed)
    }
    func transfer(of input: Int, to row: Int, from: Int, to worker: Int) -> (nanoseconds: UInt64, bytes: UInt64) {
        expected.transfer(of: input, to: row, from: from, to: worker)
    }
    func bytes(_ row: Int, origin: Int) -> UInt64 { expected.bytes(row, origin: origin) }
    func elements(_ row: Int) -> Int { known[row] ?? expected.elements(row) }
}
