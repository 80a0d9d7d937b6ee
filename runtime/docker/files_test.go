package docker

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/podyard/podyard/runtime"
)

func TestAPayloadHasTheKubeletsLayout(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	p := got(newPayload([]runtime.File{
		{Path: "b/c", Data: []byte("2"), Mode: 0o400}, {Path: "a", Data: []byte("1"), Mode: 0o644}, {Path: "b/d", Mode: 0o644},
	}, nil, now))(t)
	var names []string
	for _, f := range append(slices.Clone(p.files), p.links()...) {
		name := strings.ReplaceAll(f.header.Name, p.dir, "DIR")
		if f.header.Linkname != "" {
			name += " -> " + strings.ReplaceAll(f.header.Linkname, p.dir, "DIR")
		}
		names = append(names, name)
	}
	want := []string{"DIR/", "DIR/a", "DIR/b/", "DIR/b/c", "DIR/b/d", "..data -> DIR", "a -> ..data/a", "b -> ..data/b"}
	if !slices.Equal(names, want) {
		t.Errorf("%q\nwant %q", names, want)
	}
	if !strings.HasPrefix(p.dir, "..2026_01_02_03_04_05.") || p.files[3].header.Mode != 0o400 || p.files[3].header.Gid != 0 {
		t.Errorf("%s, %+v", p.dir, p.files[3].header)
	}
}

func TestAnFSGroupMayReadTheFiles(t *testing.T) {
	group := int64(2000)
	p := got(newPayload([]runtime.File{{Path: "a", Mode: 0o400}}, &group, time.Now()))(t)
	for _, f := range p.files {
		if f.header.Gid != 2000 || f.header.Mode&0o440 != 0o440 {
			t.Errorf("%+v", f.header)
		}
	}
}

func TestTheSameFilesHaveTheSameHash(t *testing.T) {
	one := []runtime.File{{Path: "a", Data: []byte("1")}, {Path: "b"}}
	hash := func(files ...runtime.File) string { return got(newPayload(files, nil, time.Now()))(t).hash }
	base := hash(one...)
	if other := hash(one[1], one[0]); other != base {
		t.Error("the order counts")
	}
	for _, other := range [][]runtime.File{
		{{Path: "a", Data: []byte("2")}, {Path: "b"}}, {{Path: "a", Data: []byte("1"), Mode: 1}, {Path: "b"}}, {{Path: "a", Data: []byte("1")}},
		{{Path: "a"}, {Path: "b", Data: []byte("1")}},
	} {
		if hash(other...) == base {
			t.Errorf("%+v has the hash of %+v", other, one)
		}
	}
}

func TestPathsOutOfAVolumeAreRefused(t *testing.T) {
	for _, path := range []string{"", ".", "..", "../a", "/a", "a/../b", "a/", "..data", "..2026/a"} {
		if _, err := newPayload([]runtime.File{{Path: path}}, nil, time.Now()); !errors.Is(err, runtime.ErrInvalid) {
			t.Errorf("%q: %v, want it refused", path, err)
		}
	}
}
