@main struct Throughput { static func main() {} }
