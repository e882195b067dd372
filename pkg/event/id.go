package event

import (
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // RFC 9562 defines UUIDv5 with SHA-1; it names, it does not protect
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"strings"
	"time"
)

// NewID returns a new ULID (github.com/ulid/spec): 26 characters, sortable by
// time, from 48 bits of milliseconds and 80 random bits.
func NewID(now time.Time) string {
	var entropy [10]byte
	rand.Read(entropy[:]) // never fails since Go 1.24
	return ulid(now, entropy)
}

// DeliveryID names a job that came without an id: the same stored message
// always gets the same id, however often it is delivered.
func DeliveryID(stored time.Time, stream string, sequence uint64) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s/%d/%d", stream, sequence, stored.UnixNano()))
	return ulid(stored, [10]byte(sum[:10]))
}

func ulid(at time.Time, entropy [10]byte) string {
	const crockford = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
	var id [16]byte
	binary.BigEndian.PutUint64(id[:8], uint64(at.UnixMilli())<<16)
	copy(id[6:], entropy[:])
	// 128 bits as 26 groups of 5, the first one holding only 3.
	hi, lo := binary.BigEndian.Uint64(id[:8]), binary.BigEndian.Uint64(id[8:])
	var out [26]byte
	for i := len(out) - 1; i >= 0; i-- {
		out[i] = crockford[lo&31]
		lo = lo>>5 | hi<<59
		hi >>= 5
	}
	return string(out[:])
}

// ChunkHash names the content of a chunk, which is what is embedded: 128 bits of
// SHA-256 in hex. Chunks of equal hash have equal vectors.
func ChunkHash(content string) string {
	sum := sha256.Sum256([]byte(content))
	return fmt.Sprintf("%x", sum[:16])
}

// ChunkID is the UUIDv5 of a chunk: equal content at the n-th occurrence in
// one document has an equal id, so writing it twice stores it once.
func ChunkID(tenant, collection, document, content string, occurrence int) string {
	// The namespace is a UUID of its own, fixed for ever.
	namespace := [16]byte{0x1f, 0x3b, 0x7b, 0xa2, 0x54, 0x0c, 0x5d, 0x0e, 0x9a, 0x43, 0x6e, 0x0d, 0x2f, 0x11, 0xc8, 0x75}
	h := sha1.New() //nolint:gosec // see the import
	h.Write(namespace[:])
	fmt.Fprintf(h, "%s\x00%s\x00%s\x00%d\x00%s", tenant, collection, document, occurrence, content)
	u := [16]byte(h.Sum(nil)[:16])
	u[6] = u[6]&0x0f | 0x50
	u[8] = u[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", u[0:4], u[4:6], u[6:8], u[8:10], u[10:16])
}

// DocumentID makes a document id of a path or URL: its last readable part and
// a hash of the whole, so that different sources never share one.
func DocumentID(source string) string {
	slug := strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z' {
			return r
		}
		return '-'
	}, source)
	slug = strings.Trim(slug, "-")
	if len(slug) > 40 {
		slug = strings.Trim(slug[len(slug)-40:], "-")
	}
	sum := sha256.Sum256([]byte(source))
	return fmt.Sprintf("%s-%x", slug, sum[:8])
}
