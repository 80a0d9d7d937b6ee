package sources

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/sideband"
	"github.com/go-git/go-git/v5/plumbing/transport"
)

// maxRefs bounds what a server may advertise.
const maxRefs = 200_000

// remote is a repository on a server, reached by http or ssh.
type remote struct {
	url repoURL
	// http is made at the first use and keeps its connections between polls.
	http transport.Transport
}

// session is one conversation with git-upload-pack: it says what it has, then sends what is asked for.
type session interface {
	AdvertisedReferencesContext(context.Context) (*packp.AdvRefs, error)
	UploadPack(context.Context, *packp.UploadPackRequest) (*packp.UploadPackResponse, error)
	io.Closer
}

func (r *remote) connect(ctx context.Context) (session, error) {
	if r.url.scheme == schemeSSH {
		return dialSSH(ctx, r.url)
	}
	if r.http == nil {
		r.http = newHTTP()
	}
	return r.httpSession()
}

// update implements origin. While nothing changes it costs one question to the server.
func (r *remote) update(ctx context.Context, m *mirror, branch string) (tip, error) {
	s, err := r.connect(ctx)
	if err != nil {
		return tip{}, r.translate(err)
	}
	defer s.Close()
	adv, err := s.AdvertisedReferencesContext(ctx)
	if err != nil {
		return tip{}, r.translate(err)
	}
	offer, err := readOffer(adv)
	if err != nil {
		return tip{}, err
	}
	name, err := chooseBranch(branch, offer.head, offer.branches())
	if err != nil {
		return tip{}, err
	}
	t := tip{name, offer.refs["refs/heads/"+name]}
	if wants := m.wants(t.hash, offer); len(wants) > 0 {
		if err := r.download(ctx, s, m, adv, wants, name); err != nil {
			return tip{}, r.translate(err)
		}
	}
	if !m.has(t.hash) {
		return tip{}, fmt.Errorf("the server did not send commit %s", t.hash)
	}
	if err := m.updateTags(offer); err != nil {
		return tip{}, err
	}
	if old, ok := m.ref("refs/heads/" + name); ok && old == t.hash {
		return t, nil
	}
	return t, m.remember(t)
}

// resolve implements origin: without the network there is only the mirror.
func (r *remote) resolve(ctx context.Context, m *mirror, rev string, head tip) (tip, error) {
	return m.resolve(ctx, rev, head)
}

// changes implements origin: a server does not tell. The channel only ends with ctx.
func (r *remote) changes(ctx context.Context) (<-chan struct{}, error) {
	never := make(chan struct{})
	context.AfterFunc(ctx, func() { close(never) })
	return never, nil
}

// offer is what a server advertises, freed of names that could not be refs of ours (CVE-2026-71557: names that escape
// the ref store).
type offer struct {
	head   string // the full name that HEAD points to
	refs   map[string]plumbing.Hash
	peeled map[string]plumbing.Hash // of annotated tags, the commit behind
}

func readOffer(adv *packp.AdvRefs) (offer, error) {
	if len(adv.References) > maxRefs {
		return offer{}, fmt.Errorf("the server advertises more than %d refs", maxRefs)
	}
	o := offer{refs: map[string]plumbing.Hash{}, peeled: adv.Peeled}
	for name, h := range adv.References {
		if (strings.HasPrefix(name, "refs/heads/") || strings.HasPrefix(name, "refs/tags/")) &&
			plumbing.ReferenceName(name).Validate() == nil {
			o.refs[name] = h
		}
	}
	for _, symref := range adv.Capabilities.Get(capability.SymRef) {
		if target, ok := strings.CutPrefix(symref, "HEAD:"); ok {
			o.head = target
		}
	}
	if o.head == "" && adv.Head != nil {
		o.head = o.guessHead(*adv.Head)
	}
	return o, nil
}

// guessHead is for servers that do not say what HEAD points to: main, master or the first branch with its hash.
func (o offer) guessHead(h plumbing.Hash) string {
	for _, name := range append([]string{"main", "master"}, o.branches()...) {
		if o.refs["refs/heads/"+name] == h {
			return "refs/heads/" + name
		}
	}
	return ""
}

func (o offer) branches() []string {
	var names []string
	for name := range o.refs {
		if short, ok := strings.CutPrefix(name, "refs/heads/"); ok {
			names = append(names, short)
		}
	}
	slices.Sort(names)
	return names
}

func (o offer) tags() []string {
	var names []string
	for name := range o.refs {
		if strings.HasPrefix(name, "refs/tags/") {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// wants lists what to ask for: the newest commit, and annotated tags of commits that are here. Tags of commits that are
// not here are left alone: each would bring its own history.
func (m *mirror) wants(newest plumbing.Hash, o offer) []plumbing.Hash {
	var wants []plumbing.Hash
	if !m.has(newest) {
		wants = append(wants, newest)
	}
	for _, name := range o.tags() {
		commit, annotated := o.peeled[name]
		if annotated && m.has(commit) && !m.has(o.refs[name]) {
			wants = append(wants, o.refs[name])
		}
	}
	return wants
}

// download asks for the wanted objects and the newest generations behind them.
func (r *remote) download(ctx context.Context, s session, m *mirror, adv *packp.AdvRefs, wants []plumbing.Hash, branch string) error {
	req := packp.NewUploadPackRequestFromCapabilities(adv.Capabilities)
	req.Wants = wants
	for _, c := range []capability.Capability{capability.NoProgress, capability.IncludeTag} {
		if adv.Capabilities.Supports(c) {
			if err := req.Capabilities.Set(c); err != nil {
				return err
			}
		}
	}
	old, ok := m.ref("refs/heads/" + branch)
	if ok {
		req.Haves, req.Shallows = m.haves(old)
	}
	if adv.Capabilities.Supports(capability.Shallow) {
		req.Depth = packp.DepthCommits(historyDepth)
		if err := req.Capabilities.Set(capability.Shallow); err != nil {
			return err
		}
	} else if len(req.Shallows) > 0 {
		// Such a server would take the commits at the edge to be complete.
		req.Haves, req.Shallows = nil, nil
	}
	return receive(ctx, s, m, req)
}

func receive(ctx context.Context, s session, m *mirror, req *packp.UploadPackRequest) error {
	answer, err := s.UploadPack(ctx, req)
	if errors.Is(err, transport.ErrEmptyUploadPackRequest) {
		return nil
	}
	if err != nil {
		return err
	}
	defer answer.Close()
	var pack io.Reader = answer
	switch {
	case req.Capabilities.Supports(capability.Sideband64k):
		pack = sideband.NewDemuxer(sideband.Sideband64k, answer)
	case req.Capabilities.Supports(capability.Sideband):
		pack = sideband.NewDemuxer(sideband.Sideband, answer)
	}
	if err := m.addPack(pack); err != nil {
		return err
	}
	return m.recordShallow(answer.Shallows)
}

// haves goes as far back as is fetched at once and says which commits are here. Those at the edge are declared shallow,
// whether or not more is behind them: claiming too little is safe, and the server sends at most a few objects twice.
func (m *mirror) haves(newest plumbing.Hash) (haves, edge []plumbing.Hash) {
	seen, generation := map[plumbing.Hash]bool{}, []plumbing.Hash{newest}
	for depth := 1; len(generation) > 0; depth++ {
		var next []plumbing.Hash
		for _, h := range generation {
			c, err := m.commit(h)
			if err != nil || seen[h] {
				continue
			}
			seen[h] = true
			haves = append(haves, h)
			whole := depth < historyDepth && len(haves) < 1000
			for _, parent := range c.ParentHashes {
				whole = whole && m.has(parent)
			}
			if whole {
				next = append(next, c.ParentHashes...)
			} else if len(c.ParentHashes) > 0 {
				edge = append(edge, h)
			}
		}
		generation = next
	}
	return haves, edge
}

// recordShallow keeps the file by which git itself knows where history ends; we look whether the parent is there.
func (m *mirror) recordShallow(boundary []plumbing.Hash) error {
	if len(boundary) == 0 {
		return nil
	}
	m.mu.Lock()
	old, err := m.storages()[0].Shallow()
	m.mu.Unlock()
	if err != nil {
		old = nil
	}
	all := append(slices.Clone(old), boundary...)
	plumbing.HashesSort(all)
	all = slices.DeleteFunc(slices.Compact(all), func(h plumbing.Hash) bool {
		c, err := m.commit(h)
		return err != nil || !slices.ContainsFunc(c.ParentHashes, func(p plumbing.Hash) bool { return !m.has(p) })
	})
	if slices.Equal(all, old) {
		return nil
	}
	var text strings.Builder
	for _, h := range all {
		text.WriteString(h.String() + "\n")
	}
	if err := writeFile(m.dir+"/shallow", []byte(text.String())); err != nil {
		return fmt.Errorf("record shallow commits: %w", err)
	}
	return nil
}

// updateTags makes the mirror's tags what the server says, as far as their commits are here. Those that are gone go
// first: v1 may stand in the way of v1/a.
func (m *mirror) updateTags(o offer) error {
	have, err := m.refs("refs/tags/")
	if err != nil {
		return err
	}
	now := map[string]plumbing.Hash{}
	for _, ref := range have {
		if _, ok := o.refs[ref.Name().String()]; ok {
			now[ref.Name().String()] = ref.Hash()
		} else if err := m.removeRef(ref.Name()); err != nil {
			return fmt.Errorf("remove tag %s: %w", ref.Name(), err)
		}
	}
	for _, name := range o.tags() {
		h := o.refs[name]
		if now[name] == h || !m.has(h) {
			continue
		}
		if err := m.setRef(name, h); err != nil {
			return err
		}
	}
	return nil
}

// translate says what to do about the errors that people meet.
func (r *remote) translate(err error) error {
	switch {
	case errors.Is(err, transport.ErrRepositoryNotFound):
		return fmt.Errorf("%w: check the URL, and whether these credentials may read it", ErrNotFound)
	case errors.Is(err, transport.ErrEmptyRemoteRepository):
		return fmt.Errorf("%w: it has no commit yet; commit and push something", ErrEmpty)
	case errors.Is(err, transport.ErrAuthenticationRequired):
		return fmt.Errorf("%w: the server asks for credentials or refuses those in the URL; write USER:TOKEN@ before the host name, or use ssh", ErrAuth)
	case errors.Is(err, transport.ErrAuthorizationFailed):
		return fmt.Errorf("%w: the server forbids these credentials to read the repository", ErrAuth)
	default:
		return err
	}
}
