// Package status shows what Podyard knows, and takes the requests of the command line.
//
// In comes a Reader, which answers questions about sources, revisions, objects, pods and logs, and for the command line
// a Controller, which acts. Out come two http.Handlers: NewPage, read-only, for people and scripts at --listen; and
// NewControl, the same JSON plus verbs, for the unix socket in the data directory. Client is the other end of that
// socket. The package imports nothing of ours: its view types are what the JSON says, and they change only by addition.
//
// The page is rendered by html/template and works without JavaScript; one small script swaps in what changed when the
// server says that something did. Every string that a manifest, a commit or a registry may have written is shown as
// text: clean.go takes the control characters out, html/template escapes the rest.
//
// Read next: view.go for what is shown, backend.go for who answers, page.go and control.go for the routes, words.go and
// text.go for the words that the page and the command line share.
package status
