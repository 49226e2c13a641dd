/// Tarjan's search for strongly connected components, driven from outside and without recursion.
///
/// The owner calls `enter` with a node and its successors, then `next` until it gives nil: at each `visit` it may
/// enter the node; each `finished` component comes after those that it leads to.
struct CycleSearch {
    enum Step {
        /// A node that was not met before.
        case visit(Int)
        /// A component is complete.
        case finished([Int])
    }

    private struct Frame {
        var node: Int
        var successors: [Int]
        var next = 0
    }
    private var frames: [Frame] = []
    private var open: [Int] = []
    private var numbers: [Int: Int] = [:]
    private var lowest: [Int: Int] = [:]
    private var isOpen: Set<Int> = []

    mutating func enter(_ node: Int, _ successors: [Int]) {
        numbers[node] = numbers.count
        lowest[node] = numbers[node]
        open.append(node)
        isOpen.insert(node)
        frames.append(Frame(node: node, successors: successors))
    }

    mutating func next() -> Step? {
        while let top = frames.indices.last {
            let node = frames[top].node
            if frames[top].next < frames[top].successors.count {
                let successor = frames[top].successors[frames[top].next]
                frames[top].next += 1
                guard let number = numbers[successor] else { return .visit(successor) }
                if isOpen.contains(successor) { lower(node, to: number) }
                continue
            }
            frames.removeLast()
            if let parent = frames.last?.node, let low = lowest[node] { lower(parent, to: low) }
            if lowest[node] == numbers[node] { return .finished(close(node)) }
        }
        return nil
    }

    private mutating func lower(_ node: Int, to number: Int) {
        if let current = lowest[node], number < current { lowest[node] = number }
    }

    private mutating func close(_ node: Int) -> [Int] {
        var members: [Int] = []
        while let last = open.popLast() {
            isOpen.remove(last)
            members.append(last)
            if last == node { break }
        }
        return members
    }
}
