// Package qdrantd is an in-process vector store that speaks Qdrant's gRPC API.
//
// It serves the part of the API the pipeline uses, over the message types of
// Qdrant's own Go client, so that code written against it runs unchanged
// against a real Qdrant. What it does not support it refuses by name: a field
// it does not know is never ignored (see [Server] and fields.go for the list
// of fields that are accepted without effect, and why that is safe).
//
// # Storage
//
// A data directory holds meta.db (collections and aliases) and one bbolt file
// per collection. A request is one transaction: it is applied as a whole and
// flushed to disk before the reply, with wait=false too. Changes that come while
// one is being written share the next transaction.
//
// Search is exact. A dense search scans the vectors in bbolt's memory map, or
// only those the payload indexes select. A sparse search uses an inverted index
// in memory, which the first search builds from the file and every commit keeps
// in step; it takes 8 bytes per non-zero of the vectors, and Go's garbage
// collector may let the process grow to twice that. A start is the opening of
// files; with 100,000 chunks of 360 non-zeros the first sparse search after it
// takes about two seconds.
//
// Snapshots copy one collection while it is being written; [Restore] puts one
// back while no server runs.
//
// # Limits
//
// One process owns a data directory. Exact search is comfortable up to some
// hundred thousand points per filter; beyond that use a real Qdrant. Files do
// not shrink when points are deleted; space is reused.
package qdrantd
