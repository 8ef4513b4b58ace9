// What a task's code hears of the task's end: Spark's task completion and failure listeners.

extension TaskContext {
  /// Calls `body` when this attempt ends, however it ends, on the executor that ran it: to give back what the task's code
  /// took. Of several, the last that was added is called first; one that is added after the end is called at once.
  public func addCompletionListener(_ body: @escaping (TaskContext) -> Void) {
    if isCompleted { body(self) } else { completionListeners.append(body) }
  }

  /// Calls `body` when this attempt fails, with the error, before the completion listeners. An input or a shuffle output
  /// that is missing, after which the task is run again, counts as a failure of the attempt. Order as above.
  public func addFailureListener(_ body: @escaping (TaskContext, any Error) -> Void) {
    if let failure { body(self, failure) } else if !isCompleted { failureListeners.append(body) }
  }

  /// Tells the listeners, once; for whoever runs the task.
  package func complete(_ error: (any Error)?) {
    guard !isCompleted else { return }
    failure = error
    if let error {
      while let listener = failureListeners.popLast() { listener(self, error) }
    }
    isCompleted = true
    while let listener = completionListeners.popLast() { listener(self) }
    failureListeners = []
  }
}
