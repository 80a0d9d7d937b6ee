// Package hello is the small web application of the demo, the examples and the tests: a server that answers who it is and
// asks the tier behind it, and a visitor that counts what it is told.
//
// In come flags; out go HTTP answers and, from the visitor, a JSON line a second. It lives inside the podyard binary so
// that a machine without a registry has something to deploy.
package hello
