import HandoutCore

/// Which class each row with a request of its own is in, and which classes no such row is in any more.
struct OwnClasses {
    private var classOfRow: [UInt32: Int] = [:]
    private var numbers: [TaskRequest: Int] = [:]
    /// By class that was made for rows: the request, and how many rows are in it.
    private var made: [Int: (request: TaskRequest, rows: Int)] = [:]
    private var unused: [Int] = []

    var isEmpty: Bool { classOfRow.isEmpty }

    subscript(row: UInt32) -> Int? { @inline(__always) get { classOfRow[row] } }

    /// The class of that request; nil: there is none.
    func number(of request: TaskRequest) -> Int? { numbers[request] }

    /// The class is known by its request, whoever made it.
    mutating func note(_ request: TaskRequest, number: Int) { numbers[request] = number }

    /// A class was made for rows with that request.
    mutating func made(_ number: Int, for request: TaskRequest) {
        numbers[request] = number
        made[number] = (request, 0)
    }

    mutating func put(_ row: UInt32, in number: Int) {
        made[number]?.rows += 1
        remove(row)
        classOfRow[row] = number
    }

    mutating func remove(_ row: UInt32) {
        guard let number = classOfRow.removeValue(forKey: row), let rows = made[number]?.rows else { return }
        made[number]?.rows = rows - 1
        if rows == 1 { unused.append(number) }
    }

    /// A class that was made for rows and has none, and of which `isFree` says that nothing else refers to it; its request
    /// is forgotten.
    mutating func takeUnused(where isFree: (Int) -> Bool) -> Int? {
        while let number = unused.popLast() {
            guard let entry = made[number], entry.rows == 0 else { continue }
            guard isFree(number) else {
                unused.insert(number, at: 0)
                return nil
            }
            made.removeValue(forKey: number)
            numbers.removeValue(forKey: entry.request)
            return number
        }
        return nil
    }
}
