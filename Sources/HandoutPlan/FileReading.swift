import Glibc

/// Reads whole files through the C library: Foundation would cost more than planning a small script.
package enum FileReading {
    package enum Failure: Error, CustomStringConvertible {
        /// `errno`.
        case system(Int32)
        case notRegular
        /// Larger than allowed; its size as far as it is known.
        case tooLarge(Int)

        /// There is no such file.
        var isMissing: Bool {
            if case .system(let code) = self { code == ENOENT || code == ENOTDIR } else { false }
        }

        package var description: String {
            switch self {
            case .system(let code): FileReading.text(of: code)
            case .notRegular: "not a regular file"
            case .tooLarge(let size): "\(size) bytes, more than allowed"
            }
        }
    }

    /// The bytes of the regular file at `path`, at most `limit` of them.
    package static func bytes(of path: String, limit: Int) throws(Failure) -> [UInt8] {
        // A pipe without a writer would otherwise wait for one.
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { throw .system(errno) }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw .system(errno) }
        guard status.st_mode & S_IFMT == S_IFREG else { throw .notRegular }
        let size = Int(status.st_size)
        guard size <= limit else { throw .tooLarge(size) }
        // One byte more than it claims, to see whether it grows.
        var bytes: [UInt8] = []
        var capacity = size + 1
        while true {
            var failure: Int32 = 0
            let chunk = [UInt8](unsafeUninitializedCapacity: capacity) { buffer, count in
                let result = retrying { read(descriptor, buffer.baseAddress, buffer.count) }
                if result < 0 { failure = errno }
                count = max(0, result)
            }
            guard failure == 0 else { throw .system(failure) }
            if chunk.isEmpty { return bytes }
            if bytes.isEmpty { bytes = chunk } else { bytes += chunk }
            guard bytes.count <= limit else { throw .tooLarge(bytes.count) }
            capacity = max(1, size - bytes.count + 1)
            if bytes.count > size { capacity = 65_536 }
        }
    }

    /// `path` without links, `.` and `..`.
    static func canonical(_ path: String) throws(Failure) -> String {
        guard let resolved = realpath(path, nil) else { throw .system(errno) }
        defer { free(resolved) }
        return String(cString: resolved)
    }

    /// What the C library calls the error `code`.
    static func text(of code: Int32) -> String {
        var buffer = [CChar](repeating: 0, count: 128)
        guard strerror_r(code, &buffer, buffer.count - 1) == 0 else { return "error \(code)" }
        return String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    private static func retrying(_ call: () -> Int) -> Int {
        while true {
            let result = call()
            if result >= 0 || errno != EINTR { return result }
        }
    }
}
