package sources

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing/transport"
	githttp "github.com/go-git/go-git/v5/plumbing/transport/http"
)

const (
	// maxErrorBody is how much of an error page is read, in bytes.
	maxErrorBody = 4 << 10
	// maxAdvertisement bounds the list of refs, in bytes.
	maxAdvertisement = 64 << 20
)

// newHTTP makes a client that follows redirects of the first request only and takes no credentials to another host
// (go-git's default since 5.19.3).
func newHTTP() transport.Transport {
	base := http.DefaultTransport.(*http.Transport).Clone()
	base.IdleConnTimeout = 90 * time.Second
	base.MaxIdleConnsPerHost = 1
	return githttp.NewClientWithOptions(&http.Client{Transport: bounded{base}}, &githttp.ClientOptions{
		RedirectPolicy: githttp.FollowInitialRedirects,
	})
}

// httpSession passes credentials beside the URL, so that no library prints them with it.
func (r *remote) httpSession() (session, error) {
	host := r.url.host
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	endpoint := &transport.Endpoint{
		Protocol: r.url.scheme, Host: host, Port: r.url.port,
		Path: (&url.URL{Path: strings.TrimSuffix(r.url.path, "/")}).EscapedPath(),
	}
	var auth transport.AuthMethod
	if r.url.user != "" || r.url.password != "" {
		auth = &githttp.BasicAuth{Username: r.url.user, Password: r.url.password}
	}
	return r.http.NewUploadPackSession(endpoint, auth)
}

// bounded limits how much a server can make us read into memory: go-git reads error pages and refs to their end.
type bounded struct{ base http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (b bounded) RoundTrip(req *http.Request) (*http.Response, error) {
	res, err := b.base.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	switch {
	case res.StatusCode < 200 || res.StatusCode > 299:
		res.Body = limitBody(res.Body, maxErrorBody)
	case req.Method == http.MethodGet:
		res.Body = limitBody(res.Body, maxAdvertisement)
	}
	return res, nil
}

type limitedBody struct {
	io.Reader
	io.Closer
}

func limitBody(body io.ReadCloser, n int64) io.ReadCloser {
	return limitedBody{io.LimitReader(body, n), body}
}
