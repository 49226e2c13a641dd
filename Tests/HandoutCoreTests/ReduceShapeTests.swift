import HandoutCore
import Testing

@Suite struct ReduceShapeTests {
    @Test func `up to arity elements go to the root alone`() {
        for count in 0...8 {
            let shape = ReduceShape(count: count, arity: 8)
            #expect(shape.innerCount == 0)
            #expect(shape.rootInputs == .init(level: 1, first: 0, count: count))
            #expect(shape.levels.isEmpty)
        }
    }

    @Test func `twenty elements by eight make three groups and a root`() {
        let shape = ReduceShape(count: 20, arity: 8)
        #expect(shape.levels == [.init(offset: 0, count: 3)])
        #expect(shape.inputs(ofInner: 2) == .init(level: 1, first: 16, count: 4))
        #expect(shape.rootInputs == .init(level: 2, first: 0, count: 3))
        #expect(shape.name(ofInner: 2) == (1, 3))
    }

    @Test func `a hundred elements by three make four levels of inner rows`() {
        let shape = ReduceShape(count: 100, arity: 3)
        #expect(
            shape.levels == [
                .init(offset: 0, count: 34), .init(offset: 34, count: 12), .init(offset: 46, count: 4),
                .init(offset: 50, count: 2),
            ])
        #expect(shape.name(ofInner: 51) == (4, 2))
        #expect(shape.inputs(ofInner: 49) == .init(level: 3, first: 43, count: 3))
        #expect(shape.inputs(ofInner: 51) == .init(level: 4, first: 49, count: 1))
    }

    @Test func `every element and inner row is taken once, in order, by the row that parent names`() {
        for arity in 2...5 {
            for count in 0...90 {
                let shape = ReduceShape(count: count, arity: arity)
                #expect(shape.levels.reduce(0) { $0 + $1.count } == shape.innerCount)
                var elements: [Int] = []
                var inner: [Int] = []
                for row in 0...shape.innerCount {
                    let isRoot = row == shape.innerCount
                    let inputs = isRoot ? shape.rootInputs : shape.inputs(ofInner: row)
                    #expect(inputs.count <= arity && (inputs.count > 0 || count == 0))
                    let taken = inputs.first..<inputs.first + inputs.count
                    if inputs.areElements {
                        elements += taken
                        for element in taken { #expect(shape.group(ofElement: element) == (isRoot ? nil : row)) }
                    } else {
                        inner += taken
                        for below in taken { #expect(shape.parent(ofInner: below) == (isRoot ? nil : row)) }
                    }
                }
                #expect(elements == Array(0..<count))
                #expect(inner == Array(0..<shape.innerCount))
            }
        }
    }
}
