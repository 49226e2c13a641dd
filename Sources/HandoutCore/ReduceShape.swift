/// The tree of one reduce over `count` elements: which rows it has and what each of them takes.
///
/// Level 1 has a group for each `arity` elements that follow one another, level 2 groups those, and so on until one
/// group is left: that is the root, the declared row itself. The rows below it are the inner rows, numbered from 0,
/// level 1 first. All of it depends on `count` and `arity` only, so the result does not depend on timing.
package struct ReduceShape: Sendable, BitwiseCopyable, Equatable {
    /// The inner rows `offset ..< offset + count` of one level.
    package struct Level: Sendable, BitwiseCopyable, Equatable {
        package var offset: Int
        package var count: Int

        package init(offset: Int, count: Int) {
            self.offset = offset
            self.count = count
        }
    }

    /// What one row takes: elements for a row of level 1, else inner rows.
    package struct Inputs: Sendable, BitwiseCopyable, Equatable {
        /// The level of the row that takes them, from 1.
        package var level: Int
        /// An element at level 1, else the number of an inner row.
        package var first: Int
        package var count: Int
        package var areElements: Bool { level == 1 }

        package init(level: Int, first: Int, count: Int) {
            self.level = level
            self.first = first
            self.count = count
        }
    }

    package let count: Int
    package let arity: Int
    package let innerCount: Int
    /// Levels of inner rows; the root is one level above.
    package let depth: Int

    /// Requires 0 or more elements and an arity of at least 2. O(log count).
    package init(count: Int, arity: Int) {
        precondition(count >= 0 && arity >= 2, "a reduce needs an arity of at least 2")
        self.count = count
        self.arity = arity
        var inner = 0
        var levels = 0
        var width = ReduceShape.groups(count, arity)
        while width > 1 {
            inner += width
            levels += 1
            width = ReduceShape.groups(width, arity)
        }
        innerCount = inner
        depth = levels
    }

    @inline(__always) private static func groups(_ count: Int, _ arity: Int) -> Int {
        count == 0 ? 0 : (count - 1) / arity + 1
    }

    /// The levels of inner rows, level 1 first.
    package var levels: [Level] {
        var all: [Level] = []
        var level = Level(offset: 0, count: ReduceShape.groups(count, arity))
        for _ in 0..<depth {
            all.append(level)
            level = Level(offset: level.offset + level.count, count: ReduceShape.groups(level.count, arity))
        }
        return all
    }

    /// The level number from 1 of an inner row, that level, and the level below it. O(log count).
    private func locate(_ inner: Int) -> (number: Int, level: Level, below: Level) {
        precondition(inner >= 0 && inner < innerCount, "inner row out of range")
        var number = 1
        var below = Level(offset: 0, count: count)
        var level = Level(offset: 0, count: ReduceShape.groups(count, arity))
        while inner >= level.offset + level.count {
            below = level
            level = Level(offset: level.offset + level.count, count: ReduceShape.groups(level.count, arity))
            number += 1
        }
        return (number, level, below)
    }

    /// What the inner row takes. O(log count).
    package func inputs(ofInner inner: Int) -> Inputs {
        let (number, level, below) = locate(inner)
        let start = (inner - level.offset) * arity
        return Inputs(level: number, first: below.offset + start, count: min(arity, below.count - start))
    }

    /// What a group of one of `levels` takes; groups are numbered from 0.
    package func inputs(ofGroup group: Int, in level: Level) -> Inputs {
        inputs(ofInner: level.offset + group)
    }

    /// What the root takes: all elements where there are no inner rows, else the rows of the last level.
    package var rootInputs: Inputs {
        guard innerCount > 0 else { return Inputs(level: 1, first: 0, count: count) }
        let (_, level, _) = locate(innerCount - 1)
        return Inputs(level: depth + 1, first: level.offset, count: level.count)
    }

    /// The inner row that takes the result of `inner`; nil: the root does. O(log count).
    package func parent(ofInner inner: Int) -> Int? {
        let (number, level, _) = locate(inner)
        guard number < depth else { return nil }
        return level.offset + level.count + (inner - level.offset) / arity
    }

    /// The inner row that takes `element`; nil: the root does.
    @inline(__always) package func group(ofElement element: Int) -> Int? {
        innerCount == 0 ? nil : element / arity
    }

    /// Level and group of an inner row as they are shown to a user, both from 1.
    package func name(ofInner inner: Int) -> (level: Int, group: Int) {
        let (number, level, _) = locate(inner)
        return (number, inner - level.offset + 1)
    }
}
