package docker

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	cerrdefs "github.com/containerd/errdefs"

	"github.com/podyard/podyard/runtime"
)

// A publication is one container, for whose ports at its address the gateway answers; see runtime/docker/publisher. It holds
// nothing but what it was created with. So it goes on with the image of an earlier Podyard, and is replaced as a whole when a
// port changes: the engine fixes ports at creation.

// openTimeout is how long Publish waits for a container that has started to leave its address to the gateway.
const openTimeout = 20 * time.Second

// Publish implements runtime.Publisher. A port that is taken is found out at the start: the container stays, created, and
// the next call starts it.
func (e *Engine) Publish(ctx context.Context, p runtime.Publication) error {
	if isIngress(p.Namespace, p.Name) {
		return e.publishIngress(ctx, p)
	}
	if err := e.publish(ctx, p); err != nil {
		return fmt.Errorf("publish %s: %w", publicationName(p), err)
	}
	return nil
}

func (e *Engine) publish(ctx context.Context, p runtime.Publication) error {
	shared := e.ensured()
	if !shared.ready() {
		return errNotEnsured
	}
	if err := e.synced(ctx); err != nil {
		return err
	}
	e.publishing.Lock()
	defer e.publishing.Unlock()
	draft, err := draftPublication(p)
	if err != nil {
		return err
	}
	err = e.replacePublication(ctx, shared, draft)
	for errors.Is(err, errAddressTaken) {
		err = e.replacePublication(ctx, shared, draft)
	}
	return err
}

// replacePublication creates the new container, removes the old one and starts the new one. Before that the gateway learns
// what it is to serve there.
func (e *Engine) replacePublication(ctx context.Context, s shared, d draft) error {
	made, old := e.publications(d.Publication, d.containerName(e.names))
	if made != nil && made.running && len(old) == 0 {
		return nil
	}
	if made == nil {
		var err error
		if made, err = e.createPublication(ctx, s, d, old); err != nil {
			return err
		}
	}
	if err := e.removeAll(ctx, old); err != nil {
		return err
	}
	if err := e.routePublications(ctx); err != nil {
		return err
	}
	return e.open(ctx, made)
}

func (e *Engine) removeAll(ctx context.Context, list []*entry) error {
	for _, en := range list {
		if err := e.remove(ctx, en.id); err != nil {
			return fmt.Errorf("remove container %s: %w", en.name, err)
		}
	}
	return nil
}

// renewPublications replaces those that an earlier Podyard had made otherwise. One that fails is left to the next Publish.
func (e *Engine) renewPublications(ctx context.Context, progress func(string)) {
	for _, p := range publicationsOf(e.cache.all()) {
		d, err := draftPublication(p.Publication)
		if err == nil {
			if made, old := e.publications(p.Publication, d.containerName(e.names)); made != nil && len(old) == 0 {
				continue
			}
			progress("replacing the publication of " + publicationName(p.Publication))
			err = e.Publish(ctx, p.Publication)
		}
		if err != nil {
			e.log.Warn("a publication cannot be renewed", "publication", publicationName(p.Publication), "err", err)
		}
	}
}

// publications are the container of that name, if it is there, and the others of the same publication.
func (e *Engine) publications(p runtime.Publication, name string) (made *entry, old []*entry) {
	for _, en := range e.cache.all() {
		switch {
		case en.publication == nil || publicationName(en.publication.Publication) != publicationName(p):
		case en.name == name:
			made = en
		default:
			old = append(old, en)
		}
	}
	return made, old
}

// createPublication gives the container the address of the one that it replaces, so that the gateway need not learn
// another, or else one that nobody has.
func (e *Engine) createPublication(ctx context.Context, s shared, d draft, old []*entry) (*entry, error) {
	address, err := e.publicationAddress(s.network, old)
	if err != nil {
		return nil, err
	}
	spec := e.names.publicationSpec(d, s, address, e.learned())
	id, err := e.createFromInfra(ctx, spec)
	if err != nil {
		return nil, err
	}
	return e.mustRefresh(ctx, id)
}

// publicationAddress is one of the slice that no publication has.
func (e *Engine) publicationAddress(r ranges, old []*entry) (netip.Addr, error) {
	used := e.avoided()
	for _, en := range e.cache.all() {
		if en.publication != nil {
			used[en.publication.address] = true
		}
	}
	for _, en := range old {
		if r.publications.Contains(en.publication.address) {
			return en.publication.address, nil
		}
	}
	for a := r.publications.Addr(); r.publications.Contains(a); a = a.Next() {
		if !used[a] {
			return a, nil
		}
	}
	return netip.Addr{}, errNoAddress
}

// errAddressTaken: somebody else in the network has the address. The next try has another.
var errAddressTaken = errors.New("the address in the pod network is taken")

// open starts the container and waits until the gateway has its address. The file that tells so may be that of an earlier start.
func (e *Engine) open(ctx context.Context, en *entry) error {
	var earlier time.Time
	if !en.running {
		if file, err := e.cli.ContainerStatPath(ctx, en.id, openFile); err == nil {
			earlier = file.Mtime
		}
		if err := e.startPublication(ctx, en); err != nil {
			return err
		}
	}
	return e.awaitOpen(ctx, en, earlier)
}

func (e *Engine) startPublication(ctx context.Context, en *entry) error {
	err := e.launch(ctx, en.id, !en.started.IsZero())
	if leftBehind(err) {
		return errors.Join(errLeftBehind, e.remove(ctx, en.id))
	}
	if err != nil && strings.Contains(err.Error(), "Address already in use") {
		e.avoidAddress(en.publication.address)
		return errors.Join(errAddressTaken, e.remove(ctx, en.id))
	}
	if lookErr := e.look(ctx, en.id); err == nil {
		return lookErr
	}
	if portTaken(err) {
		return &engineError{e.explainPort(ctx, en, err), runtime.ErrPortTaken}
	}
	return &engineError{err, nil}
}

func (e *Engine) awaitOpen(ctx context.Context, en *entry, earlier time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	for wait := 2 * time.Millisecond; ; wait = min(2*wait, 100*time.Millisecond) {
		file, err := e.cli.ContainerStatPath(ctx, en.id, openFile)
		if err != nil && !cerrdefs.IsNotFound(err) {
			return err
		}
		if err == nil && !file.Mtime.Equal(earlier) {
			return nil
		}
		if sleep(ctx, wait); ctx.Err() != nil {
			words, _ := e.lastWords(context.WithoutCancel(ctx), en.id)
			return fmt.Errorf("the ports do not lead anywhere yet: %s: %w", words, ctx.Err())
		}
	}
}

// Unpublish implements runtime.Publisher.
func (e *Engine) Unpublish(ctx context.Context, namespace, name string) error {
	if isIngress(namespace, name) {
		return e.unpublishIngress(ctx)
	}
	if err := e.synced(ctx); err != nil {
		return err
	}
	e.publishing.Lock()
	defer e.publishing.Unlock()
	p := runtime.Publication{Namespace: namespace, Name: name}
	_, old := e.publications(p, "")
	if len(old) == 0 {
		return nil
	}
	if err := e.removeAll(ctx, old); err != nil {
		return wrap("unpublish", publicationName(p), err)
	}
	return wrap("unpublish", publicationName(p), e.routePublications(ctx))
}

// publicationName is "namespace/name", or the name alone of the Ingress publication.
func publicationName(p runtime.Publication) string {
	return strings.TrimPrefix(p.Namespace+"/"+p.Name, "/")
}

// publicationsOf are sorted. Of two containers of one publication, of which one is to be removed, that counts which runs.
func publicationsOf(entries []*entry) []runtime.Published {
	byName := map[string]runtime.Published{}
	for _, en := range entries {
		if en.publication == nil {
			continue
		}
		name := publicationName(en.publication.Publication)
		if other, has := byName[name]; !has || !other.Running && en.running {
			byName[name] = en.publication.Published
		}
	}
	out := make([]runtime.Published, 0, len(byName))
	for _, p := range byName {
		p.Ports, p.SourceRanges = slices.Clone(p.Ports), slices.Clone(p.SourceRanges)
		out = append(out, p)
	}
	slices.SortFunc(out, comparePublished)
	return out
}
