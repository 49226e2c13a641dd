/// Sorts lists of tasks by a number for each, equal ones keeping their order, without allocating.
final class StableSort {
    private let keys: UnsafeMutablePointer<Double>
    private let otherKeys: UnsafeMutablePointer<Double>
    private let other: UnsafeMutablePointer<Int32>
    private static let run = 12

    init(capacity: Int) {
        keys = .allocate(capacity: max(1, capacity))
        otherKeys = .allocate(capacity: max(1, capacity))
        other = .allocate(capacity: max(1, capacity))
    }

    deinit {
        keys.deallocate()
        otherKeys.deallocate()
        other.deallocate()
    }

    /// Ascending. Insertion sort on short runs, then merges from one buffer to the other.
    func sort(_ list: UnsafeMutablePointer<Int32>, _ count: Int, by key: UnsafePointer<Double>) {
        for index in 0..<count { keys[index] = key[Int(list[index])] }
        var low = 0
        while low < count {
            insertionSort(list, low, min(low + StableSort.run, count))
            low += StableSort.run
        }
        var width = StableSort.run
        var (fromKeys, toKeys, from, to) = (keys, otherKeys, list, other)
        while width < count {
            var low = 0
            while low < count {
                let middle = min(low + width, count)
                let high = min(middle + width, count)
                StableSort.merge(fromKeys, from, toKeys, to, low, middle, high)
                low = high
            }
            swap(&fromKeys, &toKeys)
            swap(&from, &to)
            width *= 2
        }
        if from != list { list.update(from: from, count: count) }
    }

    @inline(__always)
    private func insertionSort(_ list: UnsafeMutablePointer<Int32>, _ low: Int, _ high: Int) {
        var index = low + 1
        while index < high {
            let (key, task) = (keys[index], list[index])
            var hole = index
            while hole > low && keys[hole - 1] > key {
                keys[hole] = keys[hole - 1]
                list[hole] = list[hole - 1]
                hole -= 1
            }
            keys[hole] = key
            list[hole] = task
            index += 1
        }
    }

    @inline(__always)
    private static func merge(
        _ fromKeys: UnsafeMutablePointer<Double>, _ from: UnsafeMutablePointer<Int32>,
        _ toKeys: UnsafeMutablePointer<Double>, _ to: UnsafeMutablePointer<Int32>, _ low: Int, _ middle: Int,
        _ high: Int
    ) {
        var (left, right, out) = (low, middle, low)
        while out < high {
            let takesLeft = left < middle && (right >= high || fromKeys[left] <= fromKeys[right])
            let index = takesLeft ? left : right
            toKeys[out] = fromKeys[index]
            to[out] = from[index]
            if takesLeft { left += 1 } else { right += 1 }
            out += 1
        }
    }
}
