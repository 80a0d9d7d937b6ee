package docker

import (
	"archive/tar"
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	cerrdefs "github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	corev1 "k8s.io/api/core/v1"

	"github.com/podyard/podyard/runtime"
)

// dataLink is the symbolic link whose replacement makes an update atomic (pkg/volume/util/atomic_writer.go).
const dataLink = "..data"

// written remembers what each volume holds, so that writing the same again costs nothing. A volume in memory is empty
// after its sandbox stopped, hence the start time in the key.
type written struct {
	mu     sync.Mutex
	stamps map[writtenKey]string
	// first are the files that sandboxes were created with and that StartSandbox has yet to write.
	first map[string][]firstFiles
	// turns keeps it to one writer for each volume.
	turns map[writtenKey]*sync.Mutex
}

type writtenKey struct {
	sandbox, volume string
	started         time.Time
}

// firstFiles are those of one volume.
type firstFiles struct {
	volume  string
	payload payload
}

// firstPayloads packs the files that a pod's volumes are created with.
func firstPayloads(config runtime.SandboxConfig) ([]firstFiles, error) {
	var out []firstFiles
	for _, v := range config.Volumes {
		if v.Kind != runtime.Files || len(v.Files) == 0 {
			continue
		}
		p, err := newPayload(v.Files, fsGroup(config.Pod), time.Now())
		if err != nil {
			return nil, fmt.Errorf("volume %s: %w", v.Name, err)
		}
		out = append(out, firstFiles{v.Name, p})
	}
	return out, nil
}

// keepFirst keeps the files of a sandbox until it runs; before, there is no memory to write them to. Where an earlier
// sandbox of the pod may have left files, WriteVolume is to clear them away.
func (e *Engine) keepFirst(id string, files []firstFiles) {
	sandbox := e.cache.get(id)
	if len(files) == 0 || sandbox == nil || !sandbox.started.IsZero() {
		return
	}
	for _, other := range e.cache.all() {
		if other.role == roleContainer && other.sandbox != id && other.owner.UID == sandbox.pod.Manifest.UID {
			return
		}
	}
	e.written.mu.Lock()
	defer e.written.mu.Unlock()
	e.written.first[id] = files
}

// writeFirst writes the files that a sandbox was created with: all volumes with one request, since it is the request that
// costs (50 ms on Docker 20.10, for a byte or a megabyte). WriteVolume then finds its work done.
func (e *Engine) writeFirst(ctx context.Context, sandbox *entry) error {
	turn := e.written.turn(writtenKey{sandbox: sandbox.id})
	turn.Lock()
	defer turn.Unlock()
	files := e.written.takeFirst(sandbox.id)
	if len(files) == 0 {
		return nil
	}
	var all []entryFile
	for _, f := range files {
		all = append(all, f.payload.under(f.volume)...)
	}
	if err := e.put(ctx, sandbox.id, insideSandbox(""), all); err != nil {
		return fmt.Errorf("write its files: %w", err) // from here on it is WriteVolume's
	}
	for _, f := range files {
		e.written.set(writtenKey{sandbox.id, f.volume, sandbox.started}, f.payload.hash)
	}
	return nil
}

func (w *written) takeFirst(sandbox string) []firstFiles {
	w.mu.Lock()
	defer w.mu.Unlock()
	files := w.first[sandbox]
	delete(w.first, sandbox)
	return files
}

// WriteVolume implements runtime.Sandboxes. Layout and steps are those of the kubelet's AtomicWriter: the files go into a
// new directory "..<time>.<hash>", the link ..data is pointed at it, and what a reader opens are links through ..data.
// The first write is one archive; an update needs rename(2), which the helper in the sandbox calls.
func (e *Engine) WriteVolume(ctx context.Context, id string, v runtime.Volume) error {
	sandbox, err := e.known(ctx, id, roleSandbox)
	if err != nil {
		return err
	}
	object := fmt.Sprintf("volume %s of %s", v.Name, sandbox.object())
	if held, ok := sandbox.volumes[v.Name]; !ok || held.Kind != runtime.Files {
		return fmt.Errorf("write %s: not a volume of files: %w", object, runtime.ErrInvalid)
	}
	if !sandbox.running {
		return fmt.Errorf("write %s: the sandbox is not running", object)
	}
	payload, err := newPayload(v.Files, fsGroup(sandbox.pod.Manifest), time.Now())
	if err != nil {
		return fmt.Errorf("write %s: %w", object, err)
	}
	key := writtenKey{id, v.Name, sandbox.started}
	turn := e.written.turn(key)
	turn.Lock()
	defer turn.Unlock()
	if e.written.get(key) == payload.hash {
		return nil
	}
	if err := e.writePayload(ctx, id, insideSandbox(v.Name), payload); err != nil {
		return wrap("write", object, err)
	}
	e.written.set(key, payload.hash)
	return nil
}

func (w *written) turn(key writtenKey) *sync.Mutex {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.turns == nil {
		w.turns = map[writtenKey]*sync.Mutex{}
	}
	if w.turns[key] == nil {
		w.turns[key] = &sync.Mutex{}
	}
	return w.turns[key]
}

func (w *written) get(key writtenKey) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.stamps[key]
}

func (w *written) set(key writtenKey, stamp string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stamps[key] = stamp
}

func (w *written) forget(sandbox string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.first, sandbox)
	for key := range w.stamps {
		if key.sandbox == sandbox {
			delete(w.stamps, key)
		}
	}
	for key := range w.turns {
		if key.sandbox == sandbox {
			delete(w.turns, key)
		}
	}
}

// writePayload asks what is there and then writes all at once, beside it, or not at all.
func (e *Engine) writePayload(ctx context.Context, id, at string, p payload) error {
	current, err := e.cli.ContainerStatPath(ctx, id, path.Join(at, dataLink))
	if cerrdefs.IsNotFound(err) {
		return e.put(ctx, id, at, append(p.files, p.links()...))
	}
	if err != nil {
		return err
	}
	if strings.HasSuffix(current.LinkTarget, "."+p.hash) {
		return nil
	}
	if err := e.put(ctx, id, at, p.files); err != nil {
		return err
	}
	return e.swap(ctx, id, at, p.dir)
}

func (e *Engine) put(ctx context.Context, id, at string, files []entryFile) error {
	content, err := archive(files)
	if err != nil {
		return err
	}
	return e.cli.CopyToContainer(ctx, id, at, content, container.CopyToContainerOptions{})
}

// swap has the helper point ..data at the new directory; see runtime/docker/writer. The sandbox may be of an older
// Podyard than we are, so its command line never changes.
func (e *Engine) swap(ctx context.Context, id, at, dir string) error {
	var output bytes.Buffer
	code, err := e.exec(ctx, id, []string{"/podyard", "volume-swap", at, dir}, &output, &output)
	if err != nil {
		return err
	}
	if code != 0 {
		return errors.New(strings.TrimSpace(output.String()))
	}
	return nil
}

// payload is one state of a volume: the directory with everything in it. The hash of the content is part of its name, so
// that a daemon that starts anew sees what is there.
type payload struct {
	dir, hash string
	files     []entryFile
	top       []string
}

type entryFile struct {
	header *tar.Header
	data   []byte
}

// newPayload refuses paths that upstream's validatePath refuses. With an fsGroup the group may read, as upstream's
// SetVolumeOwnership arranges (pkg/volume/volume_linux.go).
func newPayload(list []runtime.File, group *int64, now time.Time) (payload, error) {
	list = slices.SortedFunc(slices.Values(list), func(a, b runtime.File) int { return cmp.Compare(a.Path, b.Path) })
	for _, f := range list {
		if err := validPath(f.Path); err != nil {
			return payload{}, err
		}
	}
	p := payload{hash: hashFiles(list, group)}
	p.dir = now.UTC().Format("..2006_01_02_15_04_05.") + p.hash
	p.addDir(p.dir, group, now)
	made := map[string]bool{".": true}
	for _, f := range list {
		p.addParents(path.Dir(f.Path), made, group, now)
		p.addFile(f, group, now)
		if top, _, _ := strings.Cut(f.Path, "/"); !slices.Contains(p.top, top) {
			p.top = append(p.top, top)
		}
	}
	return p, nil
}

func validPath(p string) error {
	if p == "" || p == "." || !filepath.IsLocal(p) || path.Clean(p) != p || strings.HasPrefix(p, "..") || len(p) > 4096 {
		return fmt.Errorf("path %q of a file: %w", p, runtime.ErrInvalid)
	}
	return nil
}

func (p *payload) addParents(dir string, made map[string]bool, group *int64, now time.Time) {
	if made[dir] {
		return
	}
	p.addParents(path.Dir(dir), made, group, now)
	made[dir] = true
	p.addDir(path.Join(p.dir, dir), group, now)
}

func (p *payload) addDir(name string, group *int64, now time.Time) {
	header := &tar.Header{Typeflag: tar.TypeDir, Name: name + "/", Mode: 0o755, ModTime: now}
	if group != nil {
		header.Gid, header.Mode = int(*group), 0o2755
	}
	p.files = append(p.files, entryFile{header: header})
}

func (p *payload) addFile(f runtime.File, group *int64, now time.Time) {
	header := &tar.Header{
		Typeflag: tar.TypeReg, Name: path.Join(p.dir, f.Path), Size: int64(len(f.Data)),
		Mode: int64(fs.FileMode(f.Mode).Perm()), ModTime: now,
	}
	if group != nil {
		header.Gid, header.Mode = int(*group), header.Mode|0o440
	}
	p.files = append(p.files, entryFile{header: header, data: f.Data})
}

// links are ..data and what a reader sees. They are made by the first write; later the helper makes them.
func (p *payload) links() []entryFile {
	link := func(name, target string) entryFile {
		return entryFile{header: &tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: target, Mode: 0o777}}
	}
	out := []entryFile{link(dataLink, p.dir)}
	for _, name := range p.top {
		out = append(out, link(name, path.Join(dataLink, name)))
	}
	return out
}

// under is everything in it, links included, as it is packed from the directory above the volume.
func (p *payload) under(volume string) []entryFile {
	out := append(slices.Clone(p.files), p.links()...)
	for i, f := range out {
		header := *f.header
		header.Name = volume + "/" + header.Name
		out[i].header = &header
	}
	return out
}

// hashFiles covers all that is written. It is in the name of the directory and in the helper's
// command line, so only those see it who talk to the engine, and they can read the files themselves.
func hashFiles(list []runtime.File, group *int64) string {
	sum := sha256.New()
	if group != nil {
		fmt.Fprintf(sum, "group %d\n", *group)
	}
	for _, f := range list {
		fmt.Fprintf(sum, "%q %o %d\n", f.Path, f.Mode, len(f.Data))
		sum.Write(f.Data)
	}
	return hex.EncodeToString(sum.Sum(nil))[:16]
}

func fsGroup(pod *corev1.Pod) *int64 {
	if pod.Spec.SecurityContext == nil {
		return nil
	}
	return pod.Spec.SecurityContext.FSGroup
}

// archive packs files of a pod's volume, which are small (etcd's limit is 1 MiB an object).
func archive(files []entryFile) (io.Reader, error) {
	var buffer bytes.Buffer
	writer := tar.NewWriter(&buffer)
	for _, f := range files {
		if err := writer.WriteHeader(f.header); err != nil {
			return nil, err
		}
		if _, err := writer.Write(f.data); err != nil {
			return nil, err
		}
	}
	if err := writer.Close(); err != nil {
		return nil, err
	}
	return &buffer, nil
}
