import HandoutCommands

@main
struct Main {
    static func main() { CommandLineTool.main() }
}
