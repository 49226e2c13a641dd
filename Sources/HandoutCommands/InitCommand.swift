import ArgumentParser
import Glibc
import HandoutCore

/// `handout-lua init`: writes the files of a new project.
struct InitCommand: ParsableCommand {
    static let configuration = CommandConfiguration.verb(
        "init", abstract: "Begin a project: a graph with its tests, and settings for editors.",
        discussion: "Nothing is ever overwritten.")

    @Argument(help: "Where to; it is made when it is not there.", completion: .directory)
    var folder: String = "."

    func run() throws {
        let files = EmbeddedFiles.project
        for file in files {
            var status = stat()
            guard lstat(place(of: file.path), &status) == 0 else { continue }
            throw CommandFailure(
                .usage, "init: '\(TextEscape.shown(place(of: file.path)))' is already there: nothing was written")
        }
        for file in files {
            try makeParents(of: place(of: file.path))
            try write(file.content, to: place(of: file.path))
            try StandardOutput.line("wrote \(TextEscape.shown(place(of: file.path)))")
        }
        try StandardOutput.line(steps)
    }

    private func place(of path: String) -> String {
        folder == "." ? path : folder.hasSuffix("/") ? folder + path : folder + "/" + path
    }

    /// What to do next.
    private var steps: String {
        let enter = folder == "." ? "" : "  cd \(TextEscape.shown(folder))\n"
        return "next:\n\(enter)  handout-lua check main.lua\n  handout-lua run main.lua\n  handout-lua test"
    }

    private func makeParents(of path: String) throws(CommandFailure) {
        for end in path.indices.dropFirst() where path[end] == "/" {
            let parent = String(path[..<end])
            if mkdir(parent, 0o777) != 0 && errno != EEXIST { throw failure(parent) }
        }
    }

    private func write(_ content: [UInt8], to path: String) throws(CommandFailure) {
        let file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o666)
        guard file >= 0 else { throw failure(path) }
        defer { close(file) }
        var rest = content[...]
        while !rest.isEmpty {
            let written = rest.withUnsafeBytes { Glibc.write(file, $0.baseAddress, $0.count) }
            if written < 0 && errno == EINTR { continue }
            guard written > 0 else { throw failure(path) }
            rest = rest.dropFirst(written)
        }
    }

    private func failure(_ path: String) -> CommandFailure {
        CommandFailure(.environment, "init: '\(TextEscape.shown(path))': \(String(cString: strerror(errno)))")
    }
}
