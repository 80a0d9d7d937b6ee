package manifests

import (
	"container/list"
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"sync"
)

const (
	cacheEntries = 64
	cacheBytes   = 64 << 20
)

// renderCache holds what the kustomizations last looked at came to, the least recently used go first.
type renderCache struct {
	mutex   sync.Mutex
	entries map[[sha256.Size]byte]*list.Element
	recent  *list.List // of *rendered, the latest in front
	size    int
}

// rendered is the documents or, where kustomize refused the manifests, the error.
type rendered struct {
	key       [sha256.Size]byte
	documents []document
	err       error
	size      int
}

func newRenderCache() *renderCache {
	return &renderCache{entries: map[[sha256.Size]byte]*list.Element{}, recent: list.New()}
}

func (c *renderCache) get(key [sha256.Size]byte) ([]document, error, bool) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	element, ok := c.entries[key]
	if !ok {
		return nil, nil, false
	}
	c.recent.MoveToFront(element)
	found := element.Value.(*rendered)
	return found.documents[:len(found.documents):len(found.documents)], found.err, true
}

// put keeps a result. Size is in bytes of text; the documents take a small multiple of it.
func (c *renderCache) put(key [sha256.Size]byte, documents []document, err error, size int) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if _, there := c.entries[key]; there {
		return
	}
	c.entries[key] = c.recent.PushFront(&rendered{key, documents, err, size})
	c.size += size
	for c.recent.Len() > cacheEntries || c.size > cacheBytes {
		oldest := c.recent.Remove(c.recent.Back()).(*rendered)
		delete(c.entries, oldest.key)
		c.size -= oldest.size
	}
}

// hash names a kustomization by its directory and everything it refers to, as committed.
func (w *walk) hash() [sha256.Size]byte {
	h := sha256.New()
	writeFramed(h, []byte(w.root))
	for _, name := range sortedKeys(w.texts) {
		writeFramed(h, []byte(name))
		writeFramed(h, w.texts[name])
	}
	return [sha256.Size]byte(h.Sum(nil))
}

// writeFramed writes the length first: "ab" and "c" must not hash like "a" and "bc".
func writeFramed(h hash.Hash, b []byte) {
	var length [8]byte
	binary.BigEndian.PutUint64(length[:], uint64(len(b)))
	h.Write(length[:])
	h.Write(b)
}
