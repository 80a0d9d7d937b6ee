package status

import (
	"bytes"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"
)

func objects(healths ...Health) []Object {
	var out []Object
	for i, h := range healths {
		out = append(out, Object{Ref: Ref{"Service", "shop", fmt.Sprint(i)}, Health: h})
	}
	return out
}

func TestOverallSaysWhatIsInTheWay(t *testing.T) {
	synced := Source{State: "in sync with 5394cb7 since 10:42", Health: Ready}
	held := Source{State: "held at r12: by hand", Health: Reconciling}
	refused := Source{Name: "shop", State: "5394cb7 was refused: apps/web.yaml:12: no", Health: Stalled}
	owned := Object{Ref: podRef("web-1"), Health: Stalled, Owner: &Ref{"ReplicaSet", "shop", "web"}}
	for _, c := range []struct {
		name           string
		snapshot       Snapshot
		health         Health
		headline, more string
	}{
		{"nothing yet", Snapshot{}, Reconciling, "There is no source to deploy from yet", "Nothing is deployed"},
		{"all is well", Snapshot{Sources: []Source{synced}, Objects: objects(Ready, Ready)},
			Ready, "In sync with 5394cb7 since 10:42", "2 objects: 2 ready"},
		{"the commit is applied but something crashes", Snapshot{Sources: []Source{synced}, Objects: objects(Ready, Stalled, Ready)},
			Stalled, "In sync with 5394cb7 since 10:42, but 1 of 3 objects is stalled", "3 objects: 1 stalled, 2 ready"},
		{"two wait", Snapshot{Sources: []Source{synced}, Objects: objects(Reconciling, Reconciling, Ready)},
			Reconciling, "In sync with 5394cb7 since 10:42, but 2 of 3 objects are reconciling", "3 objects: 2 reconciling, 1 ready"},
		{"a hold", Snapshot{Sources: []Source{held}, Objects: objects(Ready)}, Reconciling, "Held at r12: by hand", "1 object: 1 ready"},
		{"a refused commit outranks a rollout", Snapshot{Sources: []Source{refused}, Objects: objects(Reconciling)},
			Stalled, "5394cb7 was refused: apps/web.yaml:12: no", "1 object: 1 reconciling"},
		{"a hash has no capital", Snapshot{Sources: []Source{{State: "f53223c failed: no", Health: Stalled}}}, Stalled, "f53223c failed: no", "Nothing is deployed"},
		{"an owned object speaks through its owner", Snapshot{Sources: []Source{synced}, Objects: append(objects(Ready), owned)},
			Ready, "In sync with 5394cb7 since 10:42", "1 object: 1 ready"},
		{"what is not supported asks for nothing", Snapshot{Sources: []Source{synced}, Objects: objects(Ready, Unsupported)},
			Ready, "In sync with 5394cb7 since 10:42", "2 objects: 1 ready, 1 unsupported"},
		{"several sources are counted", Snapshot{Sources: []Source{synced, held, refused}}, Stalled,
			"1 of 3 sources are ready; shop: 5394cb7 was refused: apps/web.yaml:12: no", "Nothing is deployed"},
		{"several sources are well", Snapshot{Sources: []Source{synced, synced}}, Ready, "All 2 sources are ready", "Nothing is deployed"},
		{"the engine is gone", Snapshot{Sources: []Source{synced}, Engine: Engine{Error: "connection refused"}},
			Stalled, "The container engine does not answer: connection refused", "Nothing is deployed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			health, headline := Overall(c.snapshot)
			if health != c.health || headline != c.headline || Detail(c.snapshot) != c.more {
				t.Errorf("got %s, %q, %q", health, headline, Detail(c.snapshot))
			}
		})
	}
}

func TestDurationsReadWell(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "-", 300 * time.Microsecond: "1ms", 840 * time.Millisecond: "840ms", 4230 * time.Millisecond: "4.2s",
		42 * time.Second: "42s", 70 * time.Second: "1m10s", 2 * time.Minute: "2m", time.Hour: "1h0m", 3661 * time.Second: "1h1m1s",
	} {
		if got := took(d); got != want {
			t.Errorf("%v reads %s, want %s", time.Duration(d), got, want)
		}
	}
	if got := age(time.Time{}, noon) + age(noon.Add(time.Hour), noon) + age(before(time.Hour), noon); got != "-0s60m" {
		t.Errorf("ages read %s", got)
	}
}

func TestAPodWithoutHealthTakesItFromWhatIsKnown(t *testing.T) {
	pod := samplePods()[0]
	known := map[Ref]Object{pod.Ref(): {Ref: pod.Ref(), Health: Terminating}}
	if got := podHealth(pod, known); got != Terminating {
		t.Errorf("from its object: %s", got)
	}
	if got := podHealth(pod, nil); got != Ready {
		t.Errorf("from ready containers: %s", got)
	}
	pod.Containers[0].Ready = false
	if got := podHealth(pod, nil); got != Reconciling {
		t.Errorf("from a container that is not ready: %s", got)
	}
	pod.State = "Completed"
	if got := podHealth(pod, nil); got != Ready {
		t.Errorf("from its state: %s", got)
	}
	pod.Health = Stalled
	if got := podHealth(pod, known); got != Stalled {
		t.Errorf("from itself: %s", got)
	}
}

func TestCleanLeavesTextAlone(t *testing.T) {
	for _, text := range []string{"", "plain", "two\nlines\twith a tab", "Grüße, 你好, שלום, 👍🏽", "a &lt; b"} {
		if got := clean(text); got != text {
			t.Errorf("%q became %q", text, got)
		}
	}
	for text, want := range map[string]string{
		"\x1b[31mred": "␛[31mred", "nul\x00": "nul␀", "del\x7f": "del␡", "c1\u009b": "c1\uFFFD", "\u202egpj": "<U+202E>gpj",
		"\xff": "\uFFFD", "zero\u200bwidth": "zero<U+200B>width",
	} {
		if got := clean(text); got != want {
			t.Errorf("%q became %q, want %q", text, got, want)
		}
	}
	if got := cleanLog("\x1b[1;32mok\x1b[0m\r\ndone\x1b[2J"); got != "ok\ndone␛[2J" {
		t.Errorf("a log became %q", got)
	}
}

func TestCleanedDoesNotTouchTheOriginal(t *testing.T) {
	original := sample()
	original.Objects[2].Summary["ready"] = "\x07"
	original.Pods[1].Containers[0].Name = "\x07"
	copied := cleaned(original)
	if copied.Objects[2].Summary["ready"] != "␇" || copied.Pods[1].Containers[0].Name != "␇" {
		t.Error("the copy is not clean")
	}
	if original.Objects[2].Summary["ready"] != "\x07" || original.Pods[1].Containers[0].Name != "\x07" {
		t.Error("the original was changed")
	}
}

func TestTheFilterNarrowsObjectsAndPods(t *testing.T) {
	for query, want := range map[string]string{
		"namespace=monitoring":       "probe front store front |",
		"kind=Deployment":            "web cache |",
		"kind=Pod":                   "| cache-5c4d7-aa8bb cache-7d9f8-x2x9c import-x7k2p report-5f6d7-b8c9d web-5d4f8-2m7rt web-5d4f8-q9w3e",
		"health=Stalled":             "cache-7d9f8 | cache-7d9f8-x2x9c report-5f6d7-b8c9d",
		"text=CACHE:8":               "cache | cache-7d9f8-x2x9c",
		"text=10.89.192":             "probe front web |",
		"text=+SHIPPER+":             "| web-5d4f8-2m7rt web-5d4f8-q9w3e",
		"kind=Service&namespace=no":  "|",
		"health=Ready&kind=Service":  "probe front store web |",
		"text=replicaset+shop/cache": "cache-7d9f8 cache-5c4d7 | cache-5c4d7-aa8bb cache-7d9f8-x2x9c",
	} {
		values, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		view := newOverview(sample(), readFilter(values))
		got := names(view)
		if got != want {
			t.Errorf("%s: got %s, want %s", query, got, want)
		}
		if view.Headline != "Applying 5394cb7: 1 of 3 new pods is ready" || len(view.Counts) != 3 {
			t.Errorf("%s changes what is said of the whole: %s", query, view.Headline)
		}
	}
}

func names(view overview) string {
	var out []string
	for _, group := range view.Namespaces {
		for _, o := range group.Objects {
			out = append(out, o.Name)
		}
	}
	out = append(out, "|")
	for _, p := range view.Pods {
		out = append(out, p.Name)
	}
	return strings.Join(out, " ")
}

func TestALargeInstallationShowsWhatAsksForAttentionFirst(t *testing.T) {
	var snapshot Snapshot
	for i := range 3 * maxRows {
		health := Ready
		if i%maxRows == maxRows-1 {
			health = Stalled
		}
		name := fmt.Sprint("web-", i)
		snapshot.Objects = append(snapshot.Objects, Object{Ref: Ref{"Service", "shop", name}, Health: health})
		snapshot.Pods = append(snapshot.Pods, Pod{Namespace: "shop", Name: name, Health: health})
	}
	daemon := newFake()
	daemon.snapshot = snapshot
	body := get(t, NewPage(daemon), "/").Body.String()
	if n := strings.Count(body, `<tr id="p-`); n != maxRows {
		t.Errorf("%d pods are shown, want %d", n, maxRows)
	}
	for _, want := range []string{"o-Service-shop-web-749", "p-shop-web-749", "500 more pods that need no attention", `href="/?show=all#pods"`} {
		if !strings.Contains(body, want) {
			t.Errorf("the page lacks %s", want)
		}
	}
	all := get(t, NewPage(daemon), "/?show=all").Body.String()
	if n := strings.Count(all, `<tr id="p-`) + strings.Count(all, `<tr id="o-`); n != 6*maxRows {
		t.Errorf("%d rows are shown, want %d", n, 6*maxRows)
	}
}

func TestKeepNeverExceedsItsLimit(t *testing.T) {
	odd := func(n int) bool { return n%2 == 1 }
	for limit, want := range map[int]string{0: "[] 6", 2: "[1 3] 4", 3: "[1 3 5] 3", 4: "[1 2 3 5] 2", 6: "[1 2 3 4 5 6] 0"} {
		kept, left := keep([]int{1, 2, 3, 4, 5, 6}, limit, odd)
		if got := fmt.Sprint(kept, left); got != want {
			t.Errorf("limit %d: got %s, want %s", limit, got, want)
		}
	}
}

func TestACycleOfOwnersDoesNotHangThePage(t *testing.T) {
	a, b := Ref{"A", "", "a"}, Ref{"B", "", "b"}
	if got := depth(&a, map[Ref]*Ref{a: &b, b: &a}); got != 3 {
		t.Errorf("the depth is %d", got)
	}
}

func TestTextLooksAsItDid(t *testing.T) {
	snapshot := sample()
	snapshot.Sources[0].Hold = &Hold{Number: 12, Reason: "rolled back by hand"}
	snapshot.Sources[0].FetchError = "fetch https://git.example.com: connection refused"
	var out bytes.Buffer
	detail := RevisionDetail{Revision: snapshot.Revisions[1], YAML: sampleYAML}
	plan := PlanResult{
		Changes: []Change{{"change", Ref{"Deployment", "shop", "web"}}},
		Actions: []PlannedAction{
			{"pull image registry.example.com/shop/web:43", "pod shop/web-1 needs it"},
			{"create pod shop/web-1", "Deployment shop/web wants 3 pods, has 2"},
		},
		Warnings: []string{"web.yaml:31: affinity means nothing here"},
	}
	for _, write := range []func() error{
		func() error { return WriteStatus(&out, snapshot, noon) },
		func() error { return WritePod(&out, snapshot, podRef("cache-7d9f8-x2x9c"), noon) },
		func() error { return WritePod(&out, snapshot, podRef("import-x7k2p"), noon) },
		func() error { return WritePod(&out, snapshot, podRef("report-5f6d7-b8c9d"), noon) },
		func() error { return WriteHistory(&out, snapshot.Revisions, noon) },
		func() error { return WriteRevision(&out, detail, noon) },
		func() error { return WritePlan(&out, plan) },
		func() error { return WritePlan(&out, PlanResult{}) },
		func() error { return WriteDiff(&out, sampleDiffs()) },
		func() error { return WriteHistory(&out, nil, noon) },
	} {
		if err := write(); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(&out, strings.Repeat("=", 20))
	}
	golden(t, "text.txt", out.Bytes())
}

func TestAWriterThatFailsIsReported(t *testing.T) {
	snapshot := sample()
	for _, write := range []func(w *failing) error{
		func(w *failing) error { return WriteStatus(w, snapshot, noon) },
		func(w *failing) error { return WriteHistory(w, snapshot.Revisions, noon) },
		func(w *failing) error { return WriteRevision(w, RevisionDetail{Revision: snapshot.Revisions[1]}, noon) },
		func(w *failing) error { return WriteDiff(w, sampleDiffs()) },
	} {
		for after := range 2 {
			if err := write(&failing{after}); !errors.Is(err, errFull) {
				t.Errorf("after %d writes: %v", after, err)
			}
		}
	}
}

var errFull = errors.New("disk full")

// failing takes so many writes and no more.
type failing struct{ left int }

func (f *failing) Write(p []byte) (int, error) {
	if f.left == 0 {
		return 0, errFull
	}
	f.left--
	return len(p), nil
}

func TestWhatServesServices(t *testing.T) {
	for want, g := range map[string]Gateway{
		"":                     {},
		"Services by nftables": {Backend: "nftables"},
		"Services by nftables, pods see the gateway's address instead of their clients' (probe return route: no such file)": {
			Backend: "nftables", Masquerade: true, Reason: "probe return route: no such file"},
		"Services by userspace, pods see the gateway's address instead of their clients' (probe nftables: not supported)": {
			Backend: "userspace", Masquerade: true, Reason: "probe nftables: not supported"},
		"the gateway does not answer: no such container": {Error: "no such container"},
	} {
		if got := g.words(); got != want {
			t.Errorf("%+v: %q, want %q", g, got, want)
		}
	}
}
