package s3

// CopyWhole sets what Quarantine copies in one request at most, so that a test needs no gigabytes to have several parts.
func (s *Store) CopyWhole(most int64) { s.copiedWhole = most }
