/// "Did you mean": the nearest of some names by edit distance.
package enum NearestName {
    /// The name at a distance below 3 (below 2 for words under 4 letters), the first of equals; nil when none is near.
    package static func find(_ word: String, among names: [String]) -> String? {
        let letters = Array(word.utf8)
        var best: (name: String, distance: Int)?
        for name in names {
            var distance = distance(letters, Array(name.utf8))
            // `retry` for `retries`: a common beginning is near, whatever follows.
            if letters.count >= 4, distance > 2, name.utf8.count >= 4,
                name.utf8.prefix(4).elementsEqual(letters.prefix(4))
            {
                distance = 2
            }
            if distance < (best?.distance ?? (letters.count < 4 ? 2 : 3)) { best = (name, distance) }
        }
        return best?.name
    }

    /// Levenshtein's distance. O(product of the lengths).
    private static func distance(_ left: [UInt8], _ right: [UInt8]) -> Int {
        var row = Array(0...right.count)
        for (i, a) in left.enumerated() {
            var diagonal = row[0]
            row[0] = i + 1
            for (j, b) in right.enumerated() {
                let cost = min(diagonal + (a == b ? 0 : 1), row[j + 1] + 1, row[j] + 1)
                diagonal = row[j + 1]
                row[j + 1] = cost
            }
        }
        return row[right.count]
    }
}
