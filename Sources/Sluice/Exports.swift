// What a job imports by `import Sluice`: the face of every floor a job speaks to.
@_exported import Codecs
@_exported import Datasets
@_exported import FileStreaming
@_exported import Groundwork
@_exported import JobScheduling
@_exported import KafkaStreaming
@_exported import SQLStreaming
@_exported import Streaming
