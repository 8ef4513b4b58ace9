@main struct KafkaToFiles { static func main() {} }
