package sources

import (
	"errors"
	"slices"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
)

// copyCommits copies a commit and at most depth-1 generations behind it from another store, as far as they are missing.
// Files come before their directory, directories before their commit and old commits before new ones, so that what is
// there is complete whenever the process may be killed.
func copyCommits(to *mirror, from *store, head plumbing.Hash, depth int) error {
	commits, err := missingCommits(to, from, head, depth)
	if err != nil {
		return err
	}
	c := &copier{to: to, from: from, seen: map[plumbing.Hash]bool{}}
	for _, commit := range slices.Backward(commits) {
		if err := c.tree(commit.TreeHash); err != nil {
			return err
		}
		c.list = append(c.list, commit.Hash)
	}
	if err := to.add(from, c.list); err != nil {
		return err
	}
	return to.recordShallow(boundary(to, commits))
}

// missingCommits goes back generation by generation until it meets what is there. A parent that the other store does not
// have (a shallow clone) is where history ends.
func missingCommits(to *mirror, from *store, head plumbing.Hash, depth int) ([]*object.Commit, error) {
	var missing []*object.Commit
	seen, generation := map[plumbing.Hash]bool{}, []plumbing.Hash{head}
	for ; depth > 0 && len(generation) > 0; depth-- {
		var parents []plumbing.Hash
		for _, h := range generation {
			if seen[h] || to.has(h) {
				continue
			}
			seen[h] = true
			c, err := from.commit(h)
			if errors.Is(err, plumbing.ErrObjectNotFound) && h != head {
				continue
			}
			if err != nil {
				return nil, err
			}
			missing, parents = append(missing, c), append(parents, c.ParentHashes...)
		}
		generation = parents
	}
	return missing, nil
}

// boundary lists the commits behind which history was not copied.
func boundary(to *mirror, commits []*object.Commit) []plumbing.Hash {
	var edge []plumbing.Hash
	for _, c := range commits {
		if slices.ContainsFunc(c.ParentHashes, func(p plumbing.Hash) bool { return !to.has(p) }) {
			edge = append(edge, c.Hash)
		}
	}
	return edge
}

type copier struct {
	to   *mirror
	from *store
	seen map[plumbing.Hash]bool
	list []plumbing.Hash
}

// tree lists the missing objects of a directory, itself last.
func (c *copier) tree(h plumbing.Hash) error {
	if c.skip(h) {
		return nil
	}
	nodes, err := c.from.rawTree(h)
	if err != nil {
		return err
	}
	for _, n := range nodes {
		id := plumbing.NewHash(string(n.id))
		switch {
		case n.id == "":
		case n.mode.IsDir():
			if err := c.tree(id); err != nil {
				return err
			}
		case !c.skip(id):
			c.list = append(c.list, id)
		}
	}
	c.list = append(c.list, h)
	return nil
}

func (c *copier) skip(h plumbing.Hash) bool {
	if c.seen[h] || c.to.has(h) {
		return true
	}
	c.seen[h] = true
	return false
}
