package history

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

var noon = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)

func open(t testing.TB, path string) *Store {
	t.Helper()
	s, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func newStore(t testing.TB) *Store {
	t.Helper()
	return open(t, filepath.Join(t.TempDir(), "data", "history.db"))
}

// sample is a revision as a deployment of some size leaves it.
func sample(i int) Revision {
	rev := Revision{
		Source: "default", Revision: fmt.Sprintf("main@sha1:%040x", i), Trigger: "change", Reason: "new commit", Outcome: Applying,
		Commit:  Commit{Hash: fmt.Sprintf("%08x%032x", i*7919, i), Author: "Ann", Email: "ann@example.org", Subject: "change", Message: "change\n\nwhy", When: noon},
		Started: noon.Add(time.Duration(i) * time.Minute), Objects: 20,
		Images:   map[string]string{"nginx:1": "sha256:abc"},
		Warnings: []string{"Deployment default/web: hostPID is ignored"},
	}
	for j := range 20 {
		rev.Changes = append(rev.Changes, Change{Action: "configured", Object: fmt.Sprintf("Deployment default/web-%d", j), Hash: strings.Repeat("a", 64)})
	}
	return rev
}

func begin(t testing.TB, s *Store, rev Revision, rendered string) Revision {
	t.Helper()
	made, err := s.Begin(rev, []byte(rendered))
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func numbers(list []Revision) (n []uint64) {
	for _, rev := range list {
		n = append(n, rev.Number)
	}
	return n
}

func TestARevisionIsKeptAsItWas(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history.db")
	s := open(t, path)
	want := begin(t, s, sample(1), "kind: Secret\n")
	if want.Number != 1 || want.RenderedHash == "" {
		t.Errorf("revision = %d, hash %q", want.Number, want.RenderedHash)
	}
	err := s.Update(1, func(r *Revision) {
		r.Outcome, r.Finished, r.Message = Failed, noon.Add(time.Hour), "app.yaml:3: no"
		r.Number, r.RenderedHash, r.Commit = 99, "x", Commit{}
	})
	if err != nil {
		t.Fatal(err)
	}
	want.Outcome, want.Finished, want.Message = Failed, noon.Add(time.Hour), "app.yaml:3: no"
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, path)
	got, err := s.Get(1)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v, %v\nwant %+v", got, err, want)
	}
	if rendered, err := s.Rendered(1); err != nil || string(rendered) != "kind: Secret\n" {
		t.Errorf("rendered = %q, %v", rendered, err)
	}
	if next := begin(t, s, sample(2), ""); next.Number != 2 {
		t.Errorf("the next number is %d, want 2", next.Number)
	}
	if _, err := s.Rendered(2); !errors.Is(err, ErrNotFound) {
		t.Errorf("rendered objects of a revision without: %v", err)
	}
	if s.Recovered != "" {
		t.Errorf("Recovered = %q", s.Recovered)
	}
}

func TestWhatIsNotThere(t *testing.T) {
	s := newStore(t)
	if _, err := s.Get(1); !errors.Is(err, ErrNotFound) {
		t.Errorf("Get: %v", err)
	}
	if err := s.Update(1, func(*Revision) { t.Error("called") }); !errors.Is(err, ErrNotFound) {
		t.Errorf("Update: %v", err)
	}
	if rev, err := s.Latest(); rev != nil || err != nil {
		t.Errorf("Latest = %v, %v", rev, err)
	}
	if rev, err := s.LastGood(); rev != nil || err != nil {
		t.Errorf("LastGood = %v, %v", rev, err)
	}
	if list, err := s.List(10, 0); list != nil || err != nil {
		t.Errorf("List = %v, %v", list, err)
	}
	if hold, err := s.Hold(); hold != nil || err != nil {
		t.Errorf("Hold = %v, %v", hold, err)
	}
	if err := s.SetHold(nil); err != nil {
		t.Errorf("SetHold(nil): %v", err)
	}
}

func TestListIsNewestFirst(t *testing.T) {
	s := newStore(t)
	for i := range 300 { // beyond one byte of the number
		begin(t, s, sample(i), "")
	}
	cases := []struct {
		limit  int
		before uint64
		want   []uint64
	}{
		{3, 0, []uint64{300, 299, 298}}, {3, 300, []uint64{299, 298, 297}}, {2, 257, []uint64{256, 255}}, {5, 3, []uint64{2, 1}},
		{5, 1, nil}, {2, 9999, []uint64{300, 299}},
	}
	for _, c := range cases {
		list, err := s.List(c.limit, c.before)
		if err != nil || !reflect.DeepEqual(numbers(list), c.want) {
			t.Errorf("List(%d, %d) = %v, %v, want %v", c.limit, c.before, numbers(list), err, c.want)
		}
	}
	if list, err := s.List(0, 0); err != nil || len(list) != 300 {
		t.Errorf("List(0, 0) = %d, %v, want all", len(list), err)
	}
}

func TestLatestAndLastGood(t *testing.T) {
	s := newStore(t)
	for i, outcome := range []Outcome{Ready, Ready, Failed, RolledBack, Superseded, Refused, Applying} {
		rev := sample(i)
		rev.Outcome = outcome
		begin(t, s, rev, "")
	}
	if rev, err := s.Latest(); err != nil || rev.Number != 7 {
		t.Errorf("Latest = %v, %v", rev, err)
	}
	if rev, err := s.LastGood(); err != nil || rev.Number != 2 {
		t.Errorf("LastGood = %v, %v", rev, err)
	}
}

func TestFind(t *testing.T) {
	s := newStore(t)
	for _, hash := range []string{"1234567890" + strings.Repeat("a", 30), "abcd" + strings.Repeat("1", 36), "abcd" + strings.Repeat("2", 36),
		"abcd" + strings.Repeat("1", 36), "0000" + strings.Repeat("f", 36), ""} {
		rev := sample(1)
		rev.Commit.Hash = hash
		begin(t, s, rev, "")
	}
	for text, want := range map[string]uint64{
		"1": 1, "r3": 3, "6": 6, "1234": 1, "1234567890": 1, "abcd1": 4, "ABCD1": 4, "abcd2222": 3, "0000f": 5,
		"main@sha1:abcd" + strings.Repeat("2", 36): 3,
	} {
		if rev, err := s.Find(text); err != nil || rev.Number != want {
			t.Errorf("Find(%q) = %d, %v, want %d", text, rev.Number, err, want)
		}
	}
	for text, want := range map[string]string{
		"abcd": "give more digits", "7": "four digits", "r99": "four digits", "": "four digits", "abc": "four digits", "ffff": "no such revision",
		"main": "no such revision", "-1": "no such revision", "99999999999999999999999999": "no such revision", "abcd/": "no such revision",
	} {
		if rev, err := s.Find(text); !errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), want) {
			t.Errorf("Find(%q) = %d, %v, want ErrNotFound that says %q", text, rev.Number, err, want)
		}
	}
}

func TestHoldIsKeptAndLifted(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history.db")
	s := open(t, path)
	want := &Hold{Number: 3, Head: "main@sha1:abc", Reason: "rolled back by hand", By: "ann", Since: noon}
	if err := s.SetHold(want); err != nil {
		t.Fatal(err)
	}
	s.Close()
	s = open(t, path)
	if got, err := s.Hold(); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("Hold = %+v, %v", got, err)
	}
	if err := s.SetHold(nil); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Hold(); err != nil || got != nil {
		t.Errorf("Hold after it was lifted = %+v, %v", got, err)
	}
}

func TestTheSameObjectsAreStoredOnce(t *testing.T) {
	s := newStore(t)
	random := make([]byte, 1<<20) // does not compress
	for i := range random {
		random[i] = byte(rand.Uint32())
	}
	for i := range 50 {
		begin(t, s, sample(i), string(random))
	}
	info, err := os.Stat(s.db.Path())
	if err != nil || info.Size() > 8<<20 {
		t.Errorf("fifty times the same megabyte takes %d bytes, %v", info.Size(), err)
	}
	for n := uint64(1); n <= 50; n++ {
		if rendered, err := s.Rendered(n); err != nil || !bytes.Equal(rendered, random) {
			t.Fatalf("rendered objects of %d: %d bytes, %v", n, len(rendered), err)
		}
	}
}

func TestAThousandRevisionsListQuickly(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history.db")
	s := open(t, path)
	s.db.NoSync = true
	for i := range 1000 {
		begin(t, s, sample(i), fmt.Sprint(i))
	}
	best := time.Hour
	for range 5 {
		start := cpuTime(t)
		if list, err := s.List(1000, 0); err != nil || len(list) != 1000 {
			t.Fatalf("%d revisions, %v", len(list), err)
		}
		best = min(best, cpuTime(t)-start)
	}
	t.Logf("1000 revisions: %v", best)
	if best > 100*time.Millisecond && !raceEnabled {
		t.Errorf("1000 revisions take %v, want less than 100 ms", best)
	}
	s.Close()
	start := time.Now()
	open(t, path)
	t.Logf("open with 1000 revisions: %v", time.Since(start))
}

// cpuTime is what this process has used: unlike the clock it does not count what else the machine does.
func cpuTime(t *testing.T) time.Duration {
	t.Helper()
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		t.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

func TestManyGoroutines(t *testing.T) {
	s := newStore(t)
	s.db.NoSync = true
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 25 {
				rev, err := s.Begin(sample(i), []byte(fmt.Sprint(g, i)))
				if err == nil {
					err = s.Update(rev.Number, func(r *Revision) { r.Outcome = Ready; r.Objects++ })
				}
				if err == nil {
					err = s.Event(Event{Time: noon, Reason: "Started", Object: fmt.Sprint("Pod default/", i)})
				}
				if err != nil {
					t.Error(err)
				}
				if rendered, err := s.Rendered(rev.Number); err != nil || string(rendered) != fmt.Sprint(g, i) {
					t.Errorf("rendered = %q, %v", rendered, err)
				}
				s.List(5, 0)
				s.LastGood()
				s.Events(EventFilter{}, 5)
			}
		})
	}
	wg.Wait()
	list, err := s.List(0, 0)
	if err != nil || len(list) != 200 {
		t.Fatalf("%d revisions, %v", len(list), err)
	}
	for i, rev := range list {
		if rev.Number != uint64(200-i) || rev.Outcome != Ready || rev.Objects != 21 {
			t.Errorf("revision = %d %s %d", rev.Number, rev.Outcome, rev.Objects)
		}
	}
}

func TestTheFileIsTheOwnersOnly(t *testing.T) {
	path := filepath.Join(t.TempDir(), "data", "history.db")
	old := syscall.Umask(0)
	defer syscall.Umask(old)
	s := open(t, path)
	s.Close()
	check := func(path string, want fs.FileMode) {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v, want %v", path, info.Mode(), err, want)
		}
	}
	check(path, 0o600)
	check(filepath.Dir(path), 0o700)
	os.Chmod(path, 0o644)
	open(t, path)
	check(path, 0o600)
}

// Secrets are rendered too: no error may show what is inside.
func TestErrorsDoNotShowWhatWasRendered(t *testing.T) {
	s := newStore(t)
	rev := begin(t, s, sample(1), "password: hunter2-canary")
	err := s.update(func(t *tx) error { return t.contents.Put([]byte(rev.RenderedHash), []byte("hunter2-canary")) })
	if err != nil {
		t.Fatal(err)
	}
	if _, err = s.Rendered(1); !errors.Is(err, errDamaged) || strings.Contains(err.Error(), "canary") {
		t.Errorf("damaged content: %v", err)
	}
	other, _ := pack([]byte("password: other-canary"))
	err = s.update(func(t *tx) error { return t.contents.Put([]byte(rev.RenderedHash), other.packed) })
	if err != nil {
		t.Fatal(err)
	}
	if _, err = s.Rendered(1); !errors.Is(err, errDamaged) || strings.Contains(err.Error(), "canary") {
		t.Errorf("exchanged content: %v", err)
	}
}

func TestASecondProcessIsTurnedAway(t *testing.T) {
	if path := os.Getenv("HISTORY_TEST_HOLD"); path != "" {
		s, err := Open(path)
		if err != nil {
			panic(err)
		}
		fmt.Println("open")
		time.Sleep(time.Minute)
		s.Close()
		return
	}
	path := filepath.Join(t.TempDir(), "history.db")
	child := exec.Command(os.Args[0], "-test.run=^TestASecondProcessIsTurnedAway$")
	child.Env = append(os.Environ(), "HISTORY_TEST_HOLD="+path)
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	defer child.Wait()
	defer child.Process.Kill()
	if _, err := out.Read(make([]byte, 5)); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	_, err = Open(path)
	if !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), "another podyard uses this data directory") || !strings.Contains(err.Error(), "--data-dir") {
		t.Errorf("error = %v", err)
	}
	// The promise of a second is lockTimeout; the rest is what a busy machine adds. The other process would hold on for a minute.
	if took := time.Since(start); took > 20*time.Second || lockTimeout >= time.Second {
		t.Errorf("it took %v, of which it waits for up to %v; want less than a second on an idle machine", took, lockTimeout)
	}
	if left, _ := filepath.Glob(path + ".corrupt-*"); left != nil {
		t.Errorf("a file in use was set aside: %v", left)
	}
	child.Process.Kill()
	child.Wait()
	open(t, path) // the lock dies with the process
}

func TestAPathThatIsADirectory(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history.db")
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path); err == nil || errors.Is(err, errDamaged) || !strings.Contains(err.Error(), "is a directory") {
		t.Errorf("error = %v", err)
	}
}

// filled is the content of a history file with 40 revisions and some events.
func filled(t *testing.T) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "history.db")
	s := open(t, path)
	s.db.NoSync = true
	for i := range 40 {
		begin(t, s, sample(i), strings.Repeat(fmt.Sprint(i, " "), 3000))
		s.Event(Event{Time: noon, Type: Normal, Reason: "Started", Object: fmt.Sprint("Pod default/", i)})
	}
	s.Close()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// usable checks that a store works: whatever it could read of the past, it goes on.
func usable(t *testing.T, path string) *Store {
	t.Helper()
	s, err := Open(path)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	defer s.Close()
	list, err := s.List(0, 0)
	if err != nil {
		t.Errorf("list: %v", err)
	}
	for _, rev := range list {
		// Content may be damaged without the file being: that is an error, never a wrong answer or a crash.
		if rendered, err := s.Rendered(rev.Number); err == nil && len(rendered) == 0 {
			t.Errorf("rendered objects of %d are empty", rev.Number)
		}
	}
	if _, err := s.Events(EventFilter{}, 0); err != nil {
		t.Errorf("events: %v", err)
	}
	rev, err := s.Begin(sample(1), []byte("new"))
	if err != nil {
		t.Errorf("begin: %v", err)
	}
	if rendered, err := s.Rendered(rev.Number); err != nil || string(rendered) != "new" {
		t.Errorf("rendered = %q, %v", rendered, err)
	}
	return s
}

func TestADamagedFileIsSetAside(t *testing.T) {
	sound := filled(t)
	damages := map[string]func() []byte{
		"garbage":            func() []byte { return bytes.Repeat([]byte("garbage "), 5000) },
		"a few bytes":        func() []byte { return []byte("x") },
		"zeros":              func() []byte { return make([]byte, 65536) },
		"a text file":        func() []byte { return []byte(strings.Repeat("not a database\n", 1000)) },
		"cut off at a page":  func() []byte { return sound[:8192] },
		"cut off at half":    func() []byte { return sound[:len(sound)/2] },
		"cut off in a page":  func() []byte { return sound[:len(sound)/3+123] },
		"both metas garbage": func() []byte { return append(bytes.Repeat([]byte{0xff}, 8192), sound[8192:]...) },
		"zeros from the half": func() []byte {
			return append(bytes.Clone(sound[:len(sound)/2]), make([]byte, len(sound)-len(sound)/2)...)
		},
	}
	for name, damage := range damages {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "history.db")
			data := damage()
			if err := os.WriteFile(path, data, 0o600); err != nil {
				t.Fatal(err)
			}
			s := usable(t, path)
			aside, _ := filepath.Glob(path + ".corrupt-*")
			if s.Recovered == "" || len(aside) != 1 || !strings.Contains(s.Recovered, aside[0]) {
				t.Fatalf("Recovered = %q, files = %v", s.Recovered, aside)
			}
			if kept, err := os.ReadFile(aside[0]); err != nil || !bytes.Equal(kept, data) {
				t.Errorf("the damaged file was changed: %v", err)
			}
			if again := usable(t, path); again.Recovered != "" {
				t.Errorf("the new file was set aside as well: %s", again.Recovered)
			}
		})
	}
	t.Run("an empty file is a new one", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "history.db")
		os.WriteFile(path, nil, 0o600)
		if s := usable(t, path); s.Recovered != "" {
			t.Errorf("Recovered = %q", s.Recovered)
		}
	})
}

// Bytes are overwritten anywhere: the store opens and works, with or without the past, and does not crash. A failure
// prints the seed with which HISTORY_TEST_SEED repeats it.
func TestRandomDamage(t *testing.T) {
	sound := filled(t)
	first := rand.Uint64()
	rounds := uint64(30)
	if given, err := strconv.ParseUint(os.Getenv("HISTORY_TEST_SEED"), 10, 64); err == nil {
		first, rounds = given, 1
	}
	for seed := first; seed < first+rounds; seed++ {
		random := rand.New(rand.NewPCG(seed, 0))
		data := bytes.Clone(sound)
		for range 1 + random.IntN(4) {
			start := random.IntN(len(data))
			end := min(len(data), start+1+random.IntN(3000))
			for i := start; i < end; i++ {
				data[i] = byte(random.Uint32())
			}
		}
		path := filepath.Join(t.TempDir(), "history.db")
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		usable(t, path)
		if t.Failed() {
			t.Fatalf("repeat with HISTORY_TEST_SEED=%d", seed)
		}
	}
}

// The file is copied while it is written, as a backup would do it.
func TestACopyMadeMidway(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history.db")
	s := open(t, path)
	s.db.NoSync = true
	stop := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			case <-time.After(time.Millisecond):
				s.Begin(sample(i), []byte(strings.Repeat(fmt.Sprint(i), 2000)))
			}
		}
	})
	for range 15 {
		time.Sleep(10 * time.Millisecond)
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		copied := filepath.Join(t.TempDir(), "history.db")
		if err := os.WriteFile(copied, data, 0o600); err != nil {
			t.Fatal(err)
		}
		usable(t, copied)
	}
	close(stop)
	wg.Wait()
}

// The test binary runs itself as a process that writes and is killed: what Begin returned is there afterwards.
func TestKilledAtAnyInstant(t *testing.T) {
	if path := os.Getenv("HISTORY_TEST_WRITE"); path != "" {
		s, err := Open(path)
		if err != nil {
			panic(err)
		}
		for i := 0; ; i++ {
			rev, err := s.Begin(sample(i), []byte(strings.Repeat(fmt.Sprint(i), 5000)))
			if err != nil {
				panic(err)
			}
			fmt.Println(rev.Number)
			s.Event(Event{Reason: "Started", Object: fmt.Sprint(i)})
		}
	}
	path := filepath.Join(t.TempDir(), "history.db")
	for round := range 12 {
		child := exec.Command(os.Args[0], "-test.run=^TestKilledAtAnyInstant$")
		child.Env = append(os.Environ(), "HISTORY_TEST_WRITE="+path)
		var out bytes.Buffer
		child.Stdout = &out
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(30+round*7) * time.Millisecond)
		child.Process.Kill()
		child.Wait()
		s := open(t, path)
		if s.Recovered != "" {
			t.Fatalf("round %d: %s", round, s.Recovered)
		}
		for line := range strings.Lines(out.String()) {
			n, err := strconv.ParseUint(strings.TrimSuffix(line, "\n"), 10, 64)
			if err != nil || !strings.HasSuffix(line, "\n") {
				continue // cut off by the kill
			}
			if _, err := s.Rendered(n); err != nil {
				t.Errorf("round %d: %v", round, err)
			}
		}
		s.Close()
	}
}

func BenchmarkBegin(b *testing.B) {
	s := newStore(b)
	i := 0
	for b.Loop() {
		i++
		begin(b, s, sample(i), strings.Repeat(fmt.Sprint(i, "\n"), 2000))
	}
}
