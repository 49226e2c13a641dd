// swift-tools-version: 6.1
import PackageDescription

/// One array for every Swift target: Swift 6 language mode and the upcoming features of the house style.
let settings: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
]

let package = Package(
    name: "handout-lua",
    products: [
        .library(name: "Handout", targets: ["Handout"]),
        .executable(name: "handout-lua", targets: ["handout-lua"]),
        .executable(name: "handout-runner", targets: ["handout-runner"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
    ],
    targets: [
        .systemLibrary(name: "CLua", pkgConfig: "lua5.4", providers: [.apt(["liblua5.4-dev"])]),
        .target(
            name: "CLuaShim", dependencies: ["CLua"],
            cSettings: ["state", "values", "sandbox", "plan", "task", "process", "strategy"].map {
                .headerSearchPath($0)
            }),
        .executableTarget(
            name: "handout-runner", dependencies: ["CLuaShim"], linkerSettings: [.linkedLibrary("m")]),
        .target(name: "CHandoutLua"),  // embeds the files of lua/
        .target(name: "LuaRuntime", dependencies: ["CLuaShim"], swiftSettings: settings),
        .target(name: "HandoutCore", swiftSettings: settings),
        .target(name: "HandoutScheduler", dependencies: ["HandoutCore"], swiftSettings: settings),
        .target(name: "HandoutPlacement", dependencies: ["HandoutCore"], swiftSettings: settings),
        .target(
            name: "HandoutSimulation", dependencies: ["HandoutScheduler", "HandoutPlacement", "HandoutCore"],
            swiftSettings: settings),
        .target(
            name: "HandoutInstances", dependencies: ["HandoutPlacement", "Handout", "LuaRuntime"],
            swiftSettings: settings),
        .target(
            name: "HandoutPlan",
            dependencies: [
                "LuaRuntime", "CLuaShim", "HandoutCore", .product(name: "Crypto", package: "swift-crypto"),
            ], swiftSettings: settings),
        .target(name: "HandoutExecutor", dependencies: ["HandoutScheduler", "HandoutCore"], swiftSettings: settings),
        .target(
            name: "HandoutWorker", dependencies: ["HandoutPlan", "LuaRuntime", "CLuaShim", "HandoutCore"],
            swiftSettings: settings),
        .target(
            name: "HandoutStrategy", dependencies: ["HandoutPlan", "LuaRuntime", "CLuaShim", "HandoutCore"],
            swiftSettings: settings),
        .target(
            name: "Handout",
            dependencies: [
                "HandoutPlan", "HandoutScheduler", "HandoutExecutor", "HandoutWorker", "HandoutStrategy", "LuaRuntime",
                "HandoutCore", "CLuaShim",
            ],
            swiftSettings: settings),
        .target(
            name: "HandoutCommands",
            dependencies: [
                "Handout", "HandoutExecutor", "HandoutPlan", "HandoutScheduler", "HandoutCore", "LuaRuntime",
                "HandoutPlacement", "HandoutInstances", "HandoutSimulation", "HandoutStrategy", "CLuaShim",
                "CHandoutLua",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ], swiftSettings: settings),
        .executableTarget(
            name: "handout-embedding-example", dependencies: ["Handout"], path: "Examples/embedding",
            exclude: ["check", "nightly.lua"], swiftSettings: settings),
        .executableTarget(name: "handout-lua", dependencies: ["HandoutCommands"], swiftSettings: settings),
        .target(
            name: "HandoutTesting", dependencies: ["HandoutCore", "HandoutScheduler"], swiftSettings: settings),
        .testTarget(name: "LuaRuntimeTests", dependencies: ["LuaRuntime"], swiftSettings: settings),
        .testTarget(
            name: "HandoutCoreTests", dependencies: ["HandoutCore", "HandoutTesting"], swiftSettings: settings),
        .testTarget(
            name: "HandoutSchedulerTests", dependencies: ["HandoutCore", "HandoutScheduler", "HandoutTesting"],
            swiftSettings: settings),
        .testTarget(
            name: "HandoutExecutorTests",
            dependencies: ["HandoutExecutor", "HandoutScheduler", "HandoutCore", "HandoutTesting", "LuaRuntime"],
            swiftSettings: settings),
        .testTarget(
            name: "HandoutPlanTests", dependencies: ["HandoutPlan", "HandoutCore", "LuaRuntime"],
            swiftSettings: settings),
        .testTarget(
            name: "HandoutStrategyTests",
            dependencies: ["HandoutStrategy", "HandoutPlan", "HandoutCore", "LuaRuntime"],
            swiftSettings: settings),
        .testTarget(
            name: "HandoutWorkerTests",
            dependencies: [
                "Handout", "HandoutWorker", "HandoutPlan", "HandoutCore", "LuaRuntime", "HandoutScheduler",
                "HandoutExecutor", "HandoutStrategy",
            ], swiftSettings: settings),
        .testTarget(
            name: "HandoutPlacementTests",
            dependencies: [
                "HandoutPlacement", "HandoutInstances", "HandoutSimulation", "HandoutScheduler", "HandoutCore",
                "HandoutTesting",
            ], swiftSettings: settings),
        .testTarget(
            name: "HandoutInstancesTests", dependencies: ["HandoutInstances", "HandoutPlacement"],
            swiftSettings: settings),
        .testTarget(
            name: "HandoutTests", dependencies: ["Handout", "LuaRuntime", "handout-runner"], swiftSettings: settings),
        .testTarget(
            name: "IntegrationTests", dependencies: ["handout-lua", "handout-runner", "HandoutCore"],
            swiftSettings: settings),
    ]
)
