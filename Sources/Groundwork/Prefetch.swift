import CPrimitives

/// Asks the processor to fetch the cache line at `address`, which need not be readable: a hint, never a fault.
@inlinable public func prefetch(_ address: UnsafeRawPointer) { sluice_prefetch(address) }
