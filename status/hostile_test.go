package status

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"reflect"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

// brokenDiff cannot compare revisions.
type brokenDiff struct{ *fake }

func (brokenDiff) Diff(context.Context, string, string) ([]ObjectDiff, error) {
	return nil, errors.New("the mirror is gone")
}

// attacks are strings that someone who can push, or publish an image, may put into any field.
var attacks = []string{
	`<script>alert(1)</script>`,
	`"><img src=x onerror=alert(1)>`,
	`' onmouseover='alert(1)`,
	`</textarea></title></style></pre><svg onload=alert(1)>`,
	`javascript:alert(1)`,
	`//evil.example/x`,
	`{{.Version}}`,
	"\x1b]0;owned\x07\x1b[2J",
	"safe\u202egpj.exe",
	"a\x00b\u200bc\u2066d",
	"bytes \xff\xfe that are not text",
}

// filled sets every string in a view, however deep, to what next returns.
func filled(v reflect.Value, next func() string) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(next())
	case reflect.Pointer:
		if !v.IsNil() {
			filled(v.Elem(), next)
		}
	case reflect.Slice:
		for i := range v.Len() {
			filled(v.Index(i), next)
		}
	case reflect.Map:
		for range v.Len() {
			v.SetMapIndex(reflect.ValueOf(next()), reflect.ValueOf(next()))
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				filled(v.Field(i), next)
			}
		}
	}
}

// hostile is a daemon in which every string of every view is an attack.
func hostile(attack string) *fake {
	daemon := newFake()
	next := func() string { return attack }
	daemon.snapshot.Sources[0].Hold = &Hold{Number: 1}
	daemon.snapshot.Sources[0].FetchError = "x"
	filled(reflect.ValueOf(&daemon.snapshot).Elem(), next)
	filled(reflect.ValueOf(&daemon.diffs).Elem(), next)
	daemon.yaml, daemon.log, daemon.logErr = attack, attack, errors.New(attack)
	return daemon
}

func TestHostileStringsShowAsText(t *testing.T) {
	for i, attack := range attacks {
		daemon := hostile(attack)
		podPath := "/pods/" + url.PathEscape(clean(attack)) + "/" + url.PathEscape(clean(attack))
		for _, path := range []string{"/", "/?show=all&text=" + url.QueryEscape(attack), "/revisions", "/revisions/13", podPath} {
			t.Run(fmt.Sprint(i, path), func(t *testing.T) {
				answer := get(t, NewPage(daemon), path)
				if answer.Code != 200 {
					t.Fatalf("%d: %s", answer.Code, answer.Body)
				}
				checkHarmless(t, path, answer.Body.String(), attack)
			})
		}
	}
}

func TestHostileStringsShowAsTextInErrors(t *testing.T) {
	for _, attack := range attacks {
		daemon := newFake()
		daemon.err = errors.New(attack)
		checkHarmless(t, "/", get(t, NewPage(daemon), "/").Body.String(), attack)
		path := "/" + url.PathEscape(attack)
		checkHarmless(t, path, get(t, NewPage(newFake()), path).Body.String(), attack)
	}
}

// checkHarmless wants the attack in the text of the page, as it is meant to be shown, and the page's elements unharmed.
func checkHarmless(t *testing.T, path, body, attack string) {
	t.Helper()
	var text strings.Builder
	for node := range parse(t, body).Descendants() {
		checkNode(t, path, node)
		if node.Type == html.TextNode {
			text.WriteString(node.Data)
		}
	}
	if !strings.Contains(text.String(), clean(attack)) {
		t.Errorf("%s: %q is not shown", path, attack)
	}
	if i := strings.IndexFunc(body, unshowable); i >= 0 {
		t.Errorf("%s: the page holds %q", path, body[i:min(i+8, len(body))])
	}
}

// checkNode fails for an element or attribute that could run or load anything but the page's own.
func checkNode(t *testing.T, path string, node *html.Node) {
	t.Helper()
	if node.Type != html.ElementNode {
		return
	}
	switch node.Data {
	case "script":
		if attr(node, "src") != "/assets/live.js" || node.FirstChild != nil {
			t.Errorf("%s: a script that is not ours: %v", path, node.Attr)
		}
	case "style", "iframe", "object", "embed", "base", "svg":
		t.Errorf("%s: a %s", path, node.Data)
	}
	for _, a := range node.Attr {
		switch {
		case strings.HasPrefix(a.Key, "on"), a.Key == "style", a.Key == "srcdoc":
			t.Errorf("%s: %s has an attribute %s", path, node.Data, a.Key)
		case a.Key == "href", a.Key == "src", a.Key == "action":
			local := strings.HasPrefix(a.Val, "/") && !strings.HasPrefix(a.Val, "//") || strings.HasPrefix(a.Val, "#")
			if !local {
				t.Errorf("%s: %s leads to %s", path, node.Data, a.Val)
			}
		}
	}
}

func TestHostileStringsDoNotReachTheTerminal(t *testing.T) {
	for _, attack := range append(attacks, "line\nbreak\ttab") {
		daemon := hostile(attack)
		var out strings.Builder
		if err := errors.Join(
			WriteStatus(&out, daemon.snapshot, noon),
			WritePod(&out, daemon.snapshot, Ref{"Pod", clean(attack), clean(attack)}, noon),
			WriteHistory(&out, daemon.snapshot.Revisions, noon),
			WriteRevision(&out, RevisionDetail{daemon.snapshot.Revisions[1], ""}, noon),
			WritePlan(&out, PlanResult{Actions: []PlannedAction{{attack, attack}}, Warnings: []string{attack}}),
			WriteDiff(&out, daemon.diffs),
		); err != nil {
			t.Fatal(err)
		}
		if i := strings.IndexFunc(out.String(), unshowable); i >= 0 {
			t.Errorf("%q reaches the terminal in %q", attack, out.String()[max(0, i-40):i+4])
		}
		if strings.Contains(out.String(), "line\nbreak\ttab  ") {
			t.Errorf("a line break tears a table:\n%s", out.String())
		}
	}
}

func parse(t *testing.T, body string) *html.Node {
	t.Helper()
	document, err := html.Parse(strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	return document
}

func attr(node *html.Node, name string) string {
	for _, a := range node.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}
