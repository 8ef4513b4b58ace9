@main struct FlightDelays { static func main() {} }
