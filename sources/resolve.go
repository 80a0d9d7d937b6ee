package sources

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
)

// step is one ~N or ^N behind a revision.
type step struct {
	nth bool // ^N, the Nth parent; otherwise ~N, N times the first parent
	n   int
}

var (
	stepForm     = regexp.MustCompile(`[~^][0-9]{0,5}$`)
	hashForm     = regexp.MustCompile(`^[0-9a-f]{4,40}$`)
	revisionForm = regexp.MustCompile(`^(?:(.+)@)?sha1:([0-9a-fA-F]{4,40})$`)
)

// parseRevision splits HEAD~2^ into HEAD and its steps.
func parseRevision(rev string) (base string, steps []step, err error) {
	if err := checkText(rev); err != nil {
		return "", nil, fmt.Errorf("%w: the name %w", ErrRevision, err)
	}
	base = rev
	for {
		suffix := stepForm.FindString(base)
		if suffix == "" {
			break
		}
		s := step{nth: suffix[0] == '^', n: 1}
		if len(suffix) > 1 {
			s.n, _ = strconv.Atoi(suffix[1:])
		}
		base, steps = strings.TrimSuffix(base, suffix), append([]step{s}, steps...)
	}
	if base == "" || strings.ContainsAny(base, "~^:?*[\\ ") && !revisionForm.MatchString(base) || strings.Contains(base, "..") {
		return "", nil, fmt.Errorf("%w: not a name that can be looked up; use a hash, a branch, a tag, HEAD, or one of these with ~N or ^N",
			ErrRevision)
	}
	return base, steps, nil
}

// resolve finds a commit. Names go before abbreviated hashes and tags before branches, as in git-rev-parse; a hash must
// be reached by a branch, a tag or a pin, since anything may lie about unreached: what a rejected push left behind.
func (s *store) resolve(ctx context.Context, rev string, head tip) (tip, error) {
	base, steps, err := parseRevision(rev)
	if err != nil {
		return tip{}, err
	}
	found, err := s.lookUp(ctx, base, head)
	if err != nil {
		return tip{}, err
	}
	for _, step := range steps {
		if found.hash, err = s.follow(found.hash, step); err != nil {
			return tip{}, err
		}
	}
	return found, nil
}

func (s *store) lookUp(ctx context.Context, base string, head tip) (tip, error) {
	if base == "HEAD" || base == "@" {
		if head.hash.IsZero() {
			return tip{}, fmt.Errorf("%w: nothing has been fetched yet", ErrRevision)
		}
		return head, nil
	}
	if m := revisionForm.FindStringSubmatch(base); m != nil {
		found, err := s.byHash(ctx, strings.ToLower(m[2]), head)
		if m[1] != "" {
			found.name = m[1]
		}
		return found, err
	}
	if len(base) != 40 || !plumbing.IsHash(base) {
		if found, ok := s.byName(base); ok {
			return found, nil
		}
	}
	if lower := strings.ToLower(base); hashForm.MatchString(lower) {
		return s.byHash(ctx, lower, head)
	}
	return tip{}, fmt.Errorf("%w: there is no branch or tag of that name here", ErrRevision)
}

func (s *store) byName(base string) (tip, bool) {
	for _, prefix := range []string{"", "refs/", "refs/tags/", "refs/heads/"} {
		name := prefix + base
		if !strings.HasPrefix(name, "refs/tags/") && !strings.HasPrefix(name, "refs/heads/") && !strings.HasPrefix(name, "refs/podyard/") {
			continue
		}
		if plumbing.ReferenceName(name).Validate() != nil {
			continue
		}
		if h, ok := s.ref(name); ok {
			if c, err := s.commit(h); err == nil {
				short := strings.TrimPrefix(strings.TrimPrefix(name, "refs/tags/"), "refs/heads/")
				return tip{strings.TrimPrefix(short, "refs/"), c.Hash}, true
			}
		}
	}
	return tip{}, false
}

// byHash looks among the commits that are reached, from the followed branch first: a revision of that is called by its
// name.
func (s *store) byHash(ctx context.Context, prefix string, head tip) (tip, error) {
	starts := []plumbing.Hash{}
	if !head.hash.IsZero() {
		starts = append(starts, head.hash)
	}
	var match *plumbing.Hash
	ambiguous := false
	visit := func(c *object.Commit) bool {
		if strings.HasPrefix(c.Hash.String(), prefix) {
			ambiguous = ambiguous || match != nil && *match != c.Hash
			match = &c.Hash
		}
		return match == nil || len(prefix) < 40 && !ambiguous
	}
	if err := s.walk(ctx, starts, visit); err != nil {
		return tip{}, err
	}
	name := head.name
	if match == nil {
		name = ""
	}
	refs, err := s.refs("refs/heads/", "refs/tags/", "refs/podyard/")
	if err != nil {
		return tip{}, err
	}
	for _, ref := range refs {
		starts = append(starts, ref.Hash())
	}
	if match == nil || len(prefix) < 40 {
		if err := s.walk(ctx, starts, visit); err != nil {
			return tip{}, err
		}
	}
	switch {
	case ambiguous:
		return tip{}, fmt.Errorf("%w: several commits start with %s; give more digits", ErrRevision, prefix)
	case match == nil:
		return tip{}, fmt.Errorf("%w: no branch, tag or deployed revision that is here reaches a commit %s; %s", ErrRevision, prefix, depthHint)
	}
	return tip{name, *match}, nil
}

var depthHint = fmt.Sprintf("of history the newest %d commits and every deployed one are kept here", historyDepth)

// walk visits each reached commit once, newest generation first, until visit returns false. History ends where it was
// not fetched; what cannot be read is passed over.
func (s *store) walk(ctx context.Context, starts []plumbing.Hash, visit func(*object.Commit) bool) error {
	seen := map[plumbing.Hash]bool{}
	for queue := starts; len(queue) > 0; queue = queue[1:] {
		if err := ctx.Err(); err != nil {
			return err
		}
		if seen[queue[0]] {
			continue
		}
		seen[queue[0]] = true
		c, err := s.commit(queue[0])
		if err != nil {
			continue
		}
		seen[c.Hash] = true
		if !visit(c) {
			return nil
		}
		queue = append(queue, c.ParentHashes...)
	}
	return nil
}

// follow takes one step back in history.
func (s *store) follow(h plumbing.Hash, st step) (plumbing.Hash, error) {
	times, parent := st.n, 0
	if st.nth {
		if st.n == 0 {
			return h, nil
		}
		times, parent = 1, st.n-1
	}
	for range times {
		c, err := s.commit(h)
		if errors.Is(err, plumbing.ErrObjectNotFound) {
			return h, fmt.Errorf("%w: commit %s is older than what is kept here; %s", ErrRevision, h, depthHint)
		}
		if err != nil {
			return h, err
		}
		if parent >= len(c.ParentHashes) {
			return h, fmt.Errorf("%w: commit %s has %d parents", ErrRevision, h, len(c.ParentHashes))
		}
		h = c.ParentHashes[parent]
	}
	if !s.has(h) {
		return h, fmt.Errorf("%w: commit %s is older than what is kept here; %s", ErrRevision, h, depthHint)
	}
	return h, nil
}
