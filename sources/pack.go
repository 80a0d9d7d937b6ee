package sources

import (
	"bytes"
	"compress/zlib"
	"crypto/sha1"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/go-git/go-billy/v5/osfs"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/idxfile"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
)

const (
	// maxPack bounds one fetch, in bytes.
	maxPack = 2 << 30
	// looseLimit is up to how many objects are stored one file each, as git's fetch.unpackLimit: a pack for every commit
	// would make thousands of packs.
	looseLimit = 100
)

// addPack stores the objects of a pack that a server sends. go-git's own writer keeps its files open and in place when
// the stream breaks off.
func (m *mirror) addPack(r io.Reader) error {
	f, err := os.CreateTemp(filepath.Join(m.dir, "objects/pack"), "tmp_pack_")
	if err != nil {
		return fmt.Errorf("store pack: %w", err)
	}
	defer os.Remove(f.Name())
	defer f.Close()
	n, err := io.Copy(f, io.LimitReader(r, maxPack+1))
	switch {
	case err != nil:
		return fmt.Errorf("receive pack: %w", err)
	case n > maxPack:
		return fmt.Errorf("receive pack: larger than %d GiB", maxPack>>30)
	case n == 0:
		return nil
	}
	return m.install(f)
}

// install indexes a pack file and makes it visible, its index first: go-git fails on a pack without one.
func (m *mirror) install(f *os.File) error {
	index, name, err := indexPack(f)
	if err != nil {
		return fmt.Errorf("index pack: %w", err)
	}
	if count, err := index.Count(); err != nil || count <= looseLimit {
		return errors.Join(err, m.unpack(f.Name(), index))
	}
	base := filepath.Join(m.dir, "objects/pack", "pack-"+name.String())
	var encoded bytes.Buffer
	if _, err := idxfile.NewEncoder(&encoded).Encode(index); err != nil {
		return fmt.Errorf("index pack: %w", err)
	}
	if err := writeFile(base+".idx", encoded.Bytes()); err != nil {
		return fmt.Errorf("store pack: %w", err)
	}
	if err := os.Rename(f.Name(), base+".pack"); err != nil {
		return fmt.Errorf("store pack: %w", err)
	}
	m.reload()
	return nil
}

func indexPack(f *os.File) (index *idxfile.MemoryIndex, name plumbing.Hash, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("malformed pack: %v", p)
		}
	}()
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, name, err
	}
	w := &idxfile.Writer{}
	parser, err := packfile.NewParser(packfile.NewScanner(f), w)
	if err != nil {
		return nil, name, err
	}
	if name, err = parser.Parse(); err != nil {
		return nil, name, err
	}
	index, err = w.Index()
	return index, name, err
}

// unpack stores the objects of a small pack one by one: commits last, so that a commit that is there is complete.
func (m *mirror) unpack(name string, index *idxfile.MemoryIndex) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("malformed pack: %v", p)
		}
	}()
	fsys := osfs.New(filepath.Dir(name))
	f, err := fsys.Open(filepath.Base(name))
	if err != nil {
		return fmt.Errorf("unpack: %w", err)
	}
	pack := packfile.NewPackfile(index, fsys, f, maxFile)
	defer pack.Close()
	for _, kind := range []plumbing.ObjectType{plumbing.BlobObject, plumbing.TreeObject, plumbing.CommitObject, plumbing.TagObject} {
		objects, err := pack.GetByType(kind)
		if err != nil {
			return fmt.Errorf("unpack: %w", err)
		}
		if err := objects.ForEach(m.addObject); err != nil {
			return fmt.Errorf("unpack: %w", err)
		}
	}
	return nil
}

// addObject stores one object in a file of its own.
func (m *mirror) addObject(o plumbing.EncodedObject) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, err := m.storages()[0].SetEncodedObject(o)
	return err
}

// add copies objects from another store, in the order given.
func (m *mirror) add(from *store, hashes []plumbing.Hash) error {
	if len(hashes) > looseLimit {
		return m.addAsPack(from, hashes)
	}
	for _, h := range hashes {
		kind, data, err := from.get(h)
		if err != nil {
			return err
		}
		o := &plumbing.MemoryObject{}
		o.SetType(kind)
		if _, err := o.Write(data); err != nil {
			return err
		}
		if err := m.addObject(o); err != nil {
			return fmt.Errorf("store object %s: %w", h, err)
		}
	}
	return nil
}

func (m *mirror) addAsPack(from *store, hashes []plumbing.Hash) error {
	f, err := os.CreateTemp(filepath.Join(m.dir, "objects/pack"), "tmp_pack_")
	if err != nil {
		return fmt.Errorf("store pack: %w", err)
	}
	defer os.Remove(f.Name())
	defer f.Close()
	if err := writePack(f, from, hashes); err != nil {
		return fmt.Errorf("store pack: %w", err)
	}
	return m.install(f)
}

// writePack streams whole objects into a pack (gitformat-pack): no deltas, so one object at a time is in memory.
// go-git's encoder would hold all of them.
func writePack(w io.Writer, from *store, hashes []plumbing.Hash) error {
	sum := sha1.New()
	out := io.MultiWriter(w, sum)
	header := append([]byte("PACK\x00\x00\x00\x02"), binary.BigEndian.AppendUint32(nil, uint32(len(hashes)))...)
	if _, err := out.Write(header); err != nil {
		return err
	}
	deflate := zlib.NewWriter(out)
	for _, h := range hashes {
		kind, data, err := from.get(h)
		if err != nil {
			return err
		}
		if _, err := out.Write(entryHeader(kind, len(data))); err != nil {
			return err
		}
		deflate.Reset(out)
		if _, err := deflate.Write(data); err != nil {
			return err
		}
		if err := deflate.Close(); err != nil {
			return err
		}
	}
	return writeSum(w, sum)
}

func writeSum(w io.Writer, sum hash.Hash) error {
	_, err := w.Write(sum.Sum(nil))
	return err
}

// entryHeader is type and size: three bits of type and four of size, then seven bits of size a byte, low ones first.
// A blob (3) of 300 = 0b10_0101100 bytes is 1_011_1100, 0_0010010.
func entryHeader(kind plumbing.ObjectType, size int) []byte {
	b := []byte{byte(kind)<<4 | byte(size&15)}
	for size >>= 4; size > 0; size >>= 7 {
		b[len(b)-1] |= 0x80
		b = append(b, byte(size&0x7f))
	}
	return b
}

const (
	// compactLoose is at how many loose objects they are packed, as git's gc.auto.
	compactLoose = 6700
	// compactPacks is at how many packs they become one, as git's gc.autoPackLimit.
	compactPacks = 50
	// keepPack is from what size on, in bytes, a pack is left alone: repacking would undo its deltas.
	keepPack = 16 << 20
)

// compact puts loose objects and small packs into one pack once there are many. Nothing is ever dropped.
func (m *mirror) compact() error {
	loose, packs := m.count()
	if loose*256 < compactLoose && len(packs) < compactPacks {
		return nil
	}
	return m.repack(packs)
}

// count estimates loose objects by one of their 256 directories, as git does, and lists the small packs.
func (m *mirror) count() (loose int, packs []string) {
	for _, pack := range list(filepath.Join(m.dir, "objects/pack"), "pack-", ".pack") {
		if info, err := os.Stat(pack); err == nil && info.Size() < keepPack {
			packs = append(packs, pack)
		}
	}
	return len(list(filepath.Join(m.dir, "objects/17"), "", "")), packs
}

func (m *mirror) repack(packs []string) error {
	hashes, files := m.looseObjects()
	for _, pack := range packs {
		inside, err := packedObjects(strings.TrimSuffix(pack, ".pack") + ".idx")
		if err != nil {
			return fmt.Errorf("compact mirror: %w", err)
		}
		hashes = append(hashes, inside...)
		files = append(files, pack, strings.TrimSuffix(pack, ".pack")+".idx")
	}
	plumbing.HashesSort(hashes)
	hashes = slices.Compact(hashes)
	if len(hashes) <= looseLimit {
		return nil
	}
	before := list(filepath.Join(m.dir, "objects/pack"), "pack-", ".pack")
	if err := m.addAsPack(m.store, hashes); err != nil {
		return fmt.Errorf("compact mirror: %w", err)
	}
	if after := list(filepath.Join(m.dir, "objects/pack"), "pack-", ".pack"); len(after) <= len(before) {
		// The new pack is one of the old ones: nothing was loose.
		return nil
	}
	for _, name := range files {
		os.Remove(name)
	}
	m.reload()
	return nil
}

func (m *mirror) looseObjects() (hashes []plumbing.Hash, files []string) {
	for i := range 256 {
		for _, file := range list(filepath.Join(m.dir, fmt.Sprintf("objects/%02x", i)), "", "") {
			if hash := filepath.Base(filepath.Dir(file)) + filepath.Base(file); plumbing.IsHash(hash) {
				hashes, files = append(hashes, plumbing.NewHash(hash)), append(files, file)
			}
		}
	}
	return hashes, files
}

func packedObjects(idx string) ([]plumbing.Hash, error) {
	f, err := os.Open(idx)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	index := idxfile.NewMemoryIndex()
	if err := idxfile.NewDecoder(f).Decode(index); err != nil {
		return nil, err
	}
	entries, err := index.Entries()
	if err != nil {
		return nil, err
	}
	defer entries.Close()
	var hashes []plumbing.Hash
	for {
		entry, err := entries.Next()
		if errors.Is(err, io.EOF) {
			return hashes, nil
		}
		if err != nil {
			return nil, err
		}
		hashes = append(hashes, entry.Hash)
	}
}
