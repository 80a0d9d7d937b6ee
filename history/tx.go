package history

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"go.etcd.io/bbolt"
)

// The buckets: revisions by number; contents by hash; commits as hash and number, to find by prefix; events by a rising
// number; eventKeys from what an event says to its number; notes by name; meta for single values.
var (
	revisionsBucket = []byte("revisions")
	contentsBucket  = []byte("contents")
	commitsBucket   = []byte("commits")
	eventsBucket    = []byte("events")
	eventKeysBucket = []byte("eventKeys")
	notesBucket     = []byte("notes")
	metaBucket      = []byte("meta")

	buckets = [][]byte{revisionsBucket, contentsBucket, commitsBucket, eventsBucket, eventKeysBucket, notesBucket, metaBucket}

	holdKey       = []byte("hold")
	eventCountKey = []byte("eventCount")
)

// maxContent bounds what is unpacked, in bytes.
const maxContent = 256 << 20

// tx is a transaction with its buckets at hand.
type tx struct {
	revisions, contents, commits, events, eventKeys, notes, meta *bbolt.Bucket
}

func newTx(t *bbolt.Tx) *tx {
	return &tx{
		revisions: t.Bucket(revisionsBucket), contents: t.Bucket(contentsBucket), commits: t.Bucket(commitsBucket),
		events: t.Bucket(eventsBucket), eventKeys: t.Bucket(eventKeysBucket),
		notes: t.Bucket(notesBucket), meta: t.Bucket(metaBucket),
	}
}

// number is a key that sorts as numbers do.
func number(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

func commitKey(hash string, n uint64) []byte {
	return append([]byte(hash+"/"), number(n)...)
}

func put(b *bbolt.Bucket, key []byte, value any) error {
	data, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return b.Put(key, data)
}

func decode(data []byte, into any) error {
	if err := json.Unmarshal(data, into); err != nil {
		return fmt.Errorf("%w: %v", errDamaged, err)
	}
	return nil
}

func (t *tx) get(n uint64) (rev Revision, err error) {
	value := t.revisions.Get(number(n))
	if value == nil {
		return rev, ErrNotFound
	}
	return rev, decode(value, &rev)
}

// newestFirst goes through the revisions below a number (0 means all) until visit returns false.
func (t *tx) newestFirst(before uint64, visit func(Revision) bool) error {
	c := t.revisions.Cursor()
	key, value := c.Last()
	if before > 0 {
		if found, _ := c.Seek(number(before)); found != nil {
			key, value = c.Prev()
		} else {
			key, value = c.Last()
		}
	}
	for ; key != nil; key, value = c.Prev() {
		var rev Revision
		if err := decode(value, &rev); err != nil {
			return err
		}
		if !visit(rev) {
			return nil
		}
	}
	return nil
}

// byCommit finds the newest revision of the one commit whose hash begins so.
func (t *tx) byCommit(prefix string) (n uint64, err error) {
	if len(prefix) < 4 {
		return 0, fmt.Errorf("%w: give its number, or at least four digits of the commit hash", ErrNotFound)
	}
	var commit string
	c := t.commits.Cursor()
	for key, _ := c.Seek([]byte(prefix)); bytes.HasPrefix(key, []byte(prefix)); key, _ = c.Next() {
		if len(key) < 9 {
			return 0, fmt.Errorf("%w: malformed commit key", errDamaged)
		}
		hash := string(key[:len(key)-9])
		if commit != "" && commit != hash {
			return 0, fmt.Errorf("%w: the commits of several revisions begin so; give more digits", ErrNotFound)
		}
		commit, n = hash, max(n, binary.BigEndian.Uint64(key[len(key)-8:]))
	}
	if n == 0 {
		return 0, fmt.Errorf("%w", ErrNotFound)
	}
	return n, nil
}

// content is what was rendered, packed and named by the hash of what is inside.
type content struct {
	hash   string
	packed []byte
}

func pack(data []byte) (content, error) {
	if len(data) == 0 {
		return content{}, nil
	}
	sum := sha256.Sum256(data)
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	if _, err := w.Write(data); err != nil {
		return content{}, err
	}
	if err := w.Close(); err != nil {
		return content{}, err
	}
	return content{hex.EncodeToString(sum[:]), packed.Bytes()}, nil
}

func (t *tx) putContent(c content) error {
	if c.hash == "" || t.contents.Get([]byte(c.hash)) != nil {
		return nil
	}
	return t.contents.Put([]byte(c.hash), c.packed)
}

// content unpacks and checks. Its errors say nothing of what is inside.
func (t *tx) content(hash string) ([]byte, error) {
	if hash == "" {
		return nil, fmt.Errorf("%w that was rendered", ErrNotFound)
	}
	packed := t.contents.Get([]byte(hash))
	if packed == nil {
		return nil, fmt.Errorf("%w: content %s is missing", errDamaged, hash)
	}
	r, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, fmt.Errorf("%w: content %s: %v", errDamaged, hash, err)
	}
	data, err := io.ReadAll(io.LimitReader(r, maxContent))
	if err != nil {
		return nil, fmt.Errorf("%w: content %s: %v", errDamaged, hash, err)
	}
	if sum := sha256.Sum256(data); hex.EncodeToString(sum[:]) != hash {
		return nil, fmt.Errorf("%w: content %s does not match its hash", errDamaged, hash)
	}
	return data, nil
}

// check reads every record once.
func (t *tx) check() error {
	for _, b := range []*bbolt.Bucket{t.contents, t.commits, t.eventKeys, t.notes} {
		if err := b.ForEach(func(key, value []byte) error { return touch(key, value) }); err != nil {
			return err
		}
	}
	return errors.Join(
		checkRecords[Revision](t.revisions, func(r Revision) uint64 { return r.Number }),
		checkRecords[Event](t.events, nil),
	)
}

// checkRecords decodes every record; its number, if it has one, must be that of its key.
func checkRecords[T any](b *bbolt.Bucket, numberOf func(T) uint64) error {
	return b.ForEach(func(key, value []byte) error {
		var record T
		if err := decode(value, &record); err != nil {
			return err
		}
		if numberOf != nil && !bytes.Equal(key, number(numberOf(record))) {
			return fmt.Errorf("%w: record %x holds another number", errDamaged, key)
		}
		return nil
	})
}

// touch reads a byte of each page of a record; one that is not in the file faults here and not later.
func touch(key, value []byte) error {
	sum := byte(len(key))
	for i := 0; i < len(value); i += 1024 {
		sum ^= value[i]
	}
	if len(key) == 0 {
		return fmt.Errorf("%w: empty key (%x)", errDamaged, sum)
	}
	return nil
}
