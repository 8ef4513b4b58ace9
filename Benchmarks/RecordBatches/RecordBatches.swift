@main struct RecordBatches { static func main() {} }
