package manifests

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"
)

const (
	ingressHead = `
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: web}
spec:
`
	webService = `---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{name: http, port: 80}, {name: dns, port: 53, protocol: UDP}]}
`
	subdomain = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an " +
		"alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
	wildcard = "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of lower case alphanumeric " +
		"characters, '-' or '.' and end with an alphanumeric character (e.g. '*.example.com', regex used for validation is " +
		"'\\*\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)

// annotated is an Ingress with annotations, a line each from line 5 on.
func annotated(lines ...string) string {
	return "\napiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata:\n  name: web\n  annotations:\n    " + strings.Join(lines, "\n    ") +
		"\nspec: {defaultBackend: {service: {name: web, port: {number: 80}}}}\n" + webService
}

// ingressRuleOf is an Ingress with one rule: its host in line 6, its paths from line 7 on.
func ingressRuleOf(host, path string) string {
	return ingressHead + "  rules:\n  - host: " + host + "\n    http: {paths: [" + path + "]}\n" + webService
}

const goodBackend = "backend: {service: {name: web, port: {name: http}}}"

func TestIngresses(t *testing.T) {
	runCases(t, []validateCase{
		{name: "hosts and paths of every kind", yaml: ingressHead + `  ingressClassName: nginx
  defaultBackend: {service: {name: web, port: {number: 80}}}
  rules:
  - host: shop.example.com
    http:
      paths:
      - {path: /, pathType: Prefix, ` + goodBackend + `}
      - {path: /, pathType: Exact, ` + goodBackend + `}
      - {pathType: ImplementationSpecific, path: /x, ` + goodBackend + `}
  - host: "*.example.com"
    http: {paths: [{path: /, pathType: Prefix, ` + goodBackend + `}]}
  - {host: empty.example.com}
` + webService},
		{name: "nothing is served", yaml: ingressHead + "  ingressClassName: nginx\n", errors: []string{"a.yaml:4: spec: must have rules or a defaultBackend"}},
		{name: "a class that is none", yaml: ingressHead + "  ingressClassName: A_B\n  defaultBackend: {service: {name: web, port: {number: 80}}}\n" + webService,
			errors: []string{"a.yaml:5: spec.ingressClassName: " + subdomain}},
		{name: "an address is no host", yaml: ingressRuleOf("10.0.0.1", "{path: /, pathType: Prefix, "+goodBackend+"}"),
			errors: []string{"a.yaml:6: spec.rules[0].host: must be a DNS name, not an IP address"}},
		{name: "a wildcard is the first label and no part of one", yaml: ingressRuleOf(`"a*.example.com"`, "{path: /, pathType: Prefix, "+goodBackend+"}"),
			errors: []string{"a.yaml:6: spec.rules[0].host: " + wildcard}},
		{name: "a rule without paths", yaml: ingressRuleOf("a.example.com", ""), errors: []string{"a.yaml:7: spec.rules[0].http.paths: at least one is required"}},
		{name: "paths that are none", yaml: ingressRuleOf("a.example.com", `{path: a, pathType: Prefix, `+goodBackend+`},
      {path: "/a//b/%2f/..", pathType: Exact, `+goodBackend+`}, {path: /a, `+goodBackend+`},
      {path: x, pathType: ImplementationSpecific, `+goodBackend+`},
      {path: /a, pathType: Regex, `+goodBackend+`}`), errors: []string{
			"a.yaml:7: spec.rules[0].http.paths[0].path: must be an absolute path",
			"a.yaml:8: spec.rules[0].http.paths[1].path: cannot end with '/..'",
			"a.yaml:8: spec.rules[0].http.paths[1].path: must not contain '%2f'",
			"a.yaml:8: spec.rules[0].http.paths[1].path: must not contain '//'",
			"a.yaml:8: spec.rules[0].http.paths[2].pathType: is missing: use Prefix or Exact",
			"a.yaml:9: spec.rules[0].http.paths[3].path: must be an absolute path",
			"a.yaml:10: spec.rules[0].http.paths[4].pathType: must be one of Exact, Prefix or ImplementationSpecific",
		}},
		{name: "backends that are none", yaml: ingressRuleOf("a.example.com", `{path: /a, pathType: Prefix, backend: {}},
      {path: /b, pathType: Prefix, backend: {service: {name: web, port: {name: http, number: 80}}}},
      {path: /c, pathType: Prefix, backend: {service: {name: web}}},
      {path: /d, pathType: Prefix, backend: {service: {name: "", port: {number: 80}}}},
      {path: /e, pathType: Prefix, backend: {resource: {apiGroup: k8s.example.com, kind: Bucket, name: static}}}`), errors: []string{
			"a.yaml:7: spec.rules[0].http.paths[0].backend: must have a service",
			"a.yaml:8: spec.rules[0].http.paths[1].backend.service.port: must have a name or a number, not both",
			"a.yaml:9: spec.rules[0].http.paths[2].backend.service.port: must have a name or a number",
			"a.yaml:10: spec.rules[0].http.paths[3].backend.service.name: is missing",
			"a.yaml:11: spec.rules[0].http.paths[4].backend.resource: not supported: an Ingress leads to Services",
		}},
		{name: "Services and ports that are not there", yaml: ingressRuleOf("a.example.com", `{path: /a, pathType: Prefix, backend: {service: {name: gone, port: {number: 80}}}},
      {path: /b, pathType: Prefix, backend: {service: {name: web, port: {number: 8080}}}},
      {path: /c, pathType: Prefix, backend: {service: {name: web, port: {name: https}}}},
      {path: /d, pathType: Prefix, backend: {service: {name: web, port: {name: dns}}}}`), errors: []string{
			"a.yaml:7: spec.rules[0].http.paths[0].backend.service.name: Service default/gone is not in the commit: add it",
			"a.yaml:8: spec.rules[0].http.paths[1].backend.service.port: Service default/web has no TCP port of this name or number",
			"a.yaml:9: spec.rules[0].http.paths[2].backend.service.port: Service default/web has no TCP port of this name or number",
			"a.yaml:10: spec.rules[0].http.paths[3].backend.service.port: Service default/web has no TCP port of this name or number",
		}},
		{name: "a name outside, whose ports need not be told", yaml: strings.Replace(ingressRuleOf("a.example.com", "{path: /, pathType: Prefix, backend: {service: {name: web, port: {number: 8443}}}}"), webService,
			"---\napiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {type: ExternalName, externalName: db.example.com}\n", 1)},
		{name: "a class of its own, with parameters for its controller", yaml: `
apiVersion: networking.k8s.io/v1
kind: IngressClass
metadata: {name: nginx, annotations: {ingressclass.kubernetes.io/is-default-class: "true"}}
spec:
  controller: k8s.io/ingress-nginx
  parameters: {apiGroup: k8s.example.com, kind: Parameters, name: x}
`, warnings: []string{"a.yaml:6: IngressClass nginx: spec.parameters: they are for another controller: Podyard is set up with flags of podyard run"}},
	})
}

func TestOneIngressHasAPath(t *testing.T) {
	of := func(name, rules string) string {
		return "---\napiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: " + name + "}\nspec:\n  rules:\n" + rules
	}
	runCases(t, []validateCase{
		{name: "the first by name has it, wherever it stands", yaml: of("b", "  - {host: a.example.com, http: {paths: [{path: /x/, pathType: Prefix, "+goodBackend+"}]}}\n") +
			of("a", "  - {host: a.example.com, http: {paths: [{path: /x, pathType: ImplementationSpecific, "+goodBackend+"}]}}\n") + webService,
			warnings: []string{"a.yaml:7: Ingress default/b: spec.rules[0].http.paths[0].path: path /x of a.example.com belongs to Ingress default/a at a.yaml:14: this gets no requests"}},
		{name: "Exact and Prefix are two, and so are hosts", yaml: of("a", "  - {host: a.example.com, http: {paths: [{path: /x, pathType: Prefix, "+goodBackend+"}, {path: /x, pathType: Exact, "+goodBackend+"}]}}\n"+
			"  - {host: b.example.com, http: {paths: [{path: /x, pathType: Prefix, "+goodBackend+"}]}}\n") + webService},
		{name: "an earlier rule of the same", yaml: of("a", "  - {http: {paths: [{path: /, pathType: Prefix, "+goodBackend+"}]}}\n  - {http: {paths: [{path: /, pathType: Prefix, "+goodBackend+"}]}}\n") + webService,
			warnings: []string{"a.yaml:8: Ingress default/a: spec.rules[1].http.paths[0].path: path / of any host belongs to Ingress default/a at a.yaml:7: this gets no requests"}},
		{name: "two default backends", yaml: "---" + annotated("a: b") + strings.Replace(strings.Replace("---"+annotated("a: b"), "name: web\n  ann", "name: later\n  ann", 1), webService, "", 1),
			warnings: []string{"a.yaml:8: Ingress default/web: spec.defaultBackend: what no other path matches belongs to Ingress default/later at a.yaml:21: this gets no requests"}},
	})
}

func TestIngressAnnotations(t *testing.T) {
	const a = "metadata.annotations"
	runCases(t, []validateCase{
		{name: "what is honoured", yaml: annotated(`kubernetes.io/ingress.class: nginx`, `external-dns.alpha.kubernetes.io/hostname: a.example.com`,
			`nginx.ingress.kubernetes.io/ssl-redirect: "false"`, `nginx.ingress.kubernetes.io/backend-protocol: grpc`, `nginx.ingress.kubernetes.io/proxy-body-size: 8m`,
			`nginx.ingress.kubernetes.io/proxy-read-timeout: "3600"`, `nginx.ingress.kubernetes.io/rewrite-target: /app`,
			`nginx.ingress.kubernetes.io/whitelist-source-range: 10.0.0.0/8, 192.0.2.1`, `nginx.ingress.kubernetes.io/permanent-redirect: https://example.com/`,
			`podyard.dev/upstream-vhost: web`, `podyard.dev/prune: foreground`, `nginx.ingress.kubernetes.io/permanent-redirect-code: "308"`,
			`nginx.ingress.kubernetes.io/use-regex: "false"`, `nginx.ingress.kubernetes.io/proxy-buffering: "off"`)},
		{name: "bad values", yaml: annotated(`nginx.ingress.kubernetes.io/ssl-redirect: "yes"`, `nginx.ingress.kubernetes.io/backend-protocol: FCGI`,
			`nginx.ingress.kubernetes.io/proxy-body-size: 8 MB`, `podyard.dev/proxy-read-timeout: long`, `nginx.ingress.kubernetes.io/rewrite-target: /$2`,
			`nginx.ingress.kubernetes.io/whitelist-source-range: 10.0.0.0/33`, `nginx.ingress.kubernetes.io/permanent-redirect: example.com`, `podyard.dev/acme: "1"`), errors: []string{
			"a.yaml:6: " + a + `[nginx.ingress.kubernetes.io/ssl-redirect]: must be "true" or "false"`,
			"a.yaml:7: " + a + "[nginx.ingress.kubernetes.io/backend-protocol]: must be one of HTTP, HTTPS, GRPC or GRPCS",
			"a.yaml:8: " + a + "[nginx.ingress.kubernetes.io/proxy-body-size]: must be a number of bytes, or with k, m or g, as 8m",
			"a.yaml:9: " + a + "[podyard.dev/proxy-read-timeout]: must be a number of seconds in quotes",
			"a.yaml:10: " + a + "[nginx.ingress.kubernetes.io/rewrite-target]: groups of a regular expression are not supported: let the pods serve the path, or rewrite all of it",
			"a.yaml:11: " + a + "[nginx.ingress.kubernetes.io/whitelist-source-range]: must be addresses or ranges, as 10.0.0.0/8, with commas between them",
			"a.yaml:12: " + a + "[nginx.ingress.kubernetes.io/permanent-redirect]: must be a URL with http:// or https://",
			"a.yaml:13: " + a + `[podyard.dev/acme]: must be "true" or "false"`,
		}},
		{name: "what keeps requests out is not ignored", yaml: annotated(`nginx.ingress.kubernetes.io/auth-url: https://auth.example.com`, `nginx.ingress.kubernetes.io/auth-tls-secret: default/ca`,
			`nginx.ingress.kubernetes.io/denylist-source-range: 10.0.0.0/8`, `nginx.ingress.kubernetes.io/configuration-snippet: deny all;`, `nginx.ingress.kubernetes.io/enable-modsecurity: "true"`,
			`traefik.ingress.kubernetes.io/router.middlewares: default-auth@kubernetescrd`, `traefik.ingress.kubernetes.io/router.tls.options: default-mtls@kubernetescrd`,
			`haproxy.org/allow-list: 10.0.0.0/8`, `nginx.org/basic-auth-secret: x`, `konghq.com/plugins: key-auth`, `alb.ingress.kubernetes.io/inbound-cidrs: 10.0.0.0/8`), errors: []string{
			"a.yaml:6: " + a + "[nginx.ingress.kubernetes.io/auth-url]: " + restricts,
			"a.yaml:7: " + a + "[nginx.ingress.kubernetes.io/auth-tls-secret]: " + restricts,
			"a.yaml:8: " + a + "[nginx.ingress.kubernetes.io/denylist-source-range]: " + restricts,
			"a.yaml:9: " + a + "[nginx.ingress.kubernetes.io/configuration-snippet]: " + restricts,
			"a.yaml:10: " + a + "[nginx.ingress.kubernetes.io/enable-modsecurity]: " + restricts,
			"a.yaml:11: " + a + "[traefik.ingress.kubernetes.io/router.middlewares]: " + restricts,
			"a.yaml:12: " + a + "[traefik.ingress.kubernetes.io/router.tls.options]: " + restricts,
			"a.yaml:13: " + a + "[haproxy.org/allow-list]: " + restricts,
			"a.yaml:14: " + a + "[nginx.org/basic-auth-secret]: " + restricts,
			"a.yaml:15: " + a + "[konghq.com/plugins]: " + restricts,
			"a.yaml:16: " + a + "[alb.ingress.kubernetes.io/inbound-cidrs]: " + restricts,
		}},
		{name: "what changes how requests are answered", yaml: annotated(`nginx.ingress.kubernetes.io/enable-cors: "true"`, `traefik.ingress.kubernetes.io/router.priority: "42"`), warnings: []string{
			"a.yaml:6: Ingress default/web: " + a + "[nginx.ingress.kubernetes.io/enable-cors]: " + notHonoured,
			"a.yaml:7: Ingress default/web: " + a + "[traefik.ingress.kubernetes.io/router.priority]: " + notHonoured,
		}},
		{name: "the class twice, and not the same", yaml: strings.Replace(annotated(`kubernetes.io/ingress.class: nginx`), "spec: {", "spec: {ingressClassName: traefik, ", 1), errors: []string{
			"a.yaml:6: " + a + "[kubernetes.io/ingress.class]: must be the same as spec.ingressClassName, or left out"}},
		{name: "ACME without hosts", yaml: annotated(`cert-manager.io/cluster-issuer: letsencrypt`), warnings: []string{
			"a.yaml:6: Ingress default/web: " + a + "[cert-manager.io/cluster-issuer]: no certificate is asked for: spec.tls is empty"}},
	})
}

// pair is a certificate for some names and its key, in PEM.
func pair(t *testing.T, names ...string) (certificate, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, DNSNames: names,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	text, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: text}))
}

// tlsIngress has TLS in its lines 5 to 7.
func tlsIngress(hosts, annotations string) string {
	return "\napiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: web, annotations: {" + annotations + "}}\nspec:\n  tls:\n  - hosts: [" + hosts +
		"]\n    secretName: web-tls\n  defaultBackend: {service: {name: web, port: {number: 80}}}\n" + webService
}

// tlsSecret has tls.crt in line 20.
func tlsSecret(kind, certificate, key string) string {
	indent := func(text string) string { return strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n    ") }
	return fmt.Sprintf("---\napiVersion: v1\nkind: Secret\nmetadata: {name: web-tls}\ntype: %s\nstringData:\n  tls.crt: |\n    %s\n  tls.key: |\n    %s\n", kind, indent(certificate), indent(key))
}

func TestTLS(t *testing.T) {
	certificate, key := pair(t, "a.example.com", "*.example.org")
	_, otherKey := pair(t, "a.example.com")
	const owner = ": Ingress default/web has it for its hosts"
	keyLine := 21 + strings.Count(certificate, "\n")
	runCases(t, []validateCase{
		{name: "a certificate for its hosts", yaml: tlsIngress(`a.example.com, b.example.org, "*.example.org"`, "") + tlsSecret("kubernetes.io/tls", certificate, key)},
		{name: "hosts for which it is not", yaml: tlsIngress(`a.example.com, b.example.com, "*.example.com"`, "") + tlsSecret("kubernetes.io/tls", certificate, key), warnings: []string{
			"a.yaml:6: Ingress default/web: spec.tls[0].hosts: the certificate in Secret default/web-tls is not for b.example.com: clients will refuse it",
			"a.yaml:6: Ingress default/web: spec.tls[0].hosts: the certificate in Secret default/web-tls is not for *.example.com: clients will refuse it",
		}},
		{name: "no Secret", yaml: tlsIngress("a.example.com", ""), errors: []string{
			`a.yaml:7: spec.tls[0].secretName: Secret default/web-tls is not in the commit: add it, or have ACME make it with the annotation podyard.dev/acme: "true"`}},
		{name: "ACME makes it", yaml: tlsIngress("a.example.com", `podyard.dev/acme: "true"`)},
		{name: "an issuer is a wish for ACME", yaml: tlsIngress("a.example.com", `cert-manager.io/issuer: x`)},
		{name: "hosts of the rules, where there are no others", yaml: ingressHead + "  tls: [{secretName: web-tls}]\n  rules:\n  - {host: b.example.com, http: {paths: [{path: /, pathType: Prefix, " + goodBackend + "}]}}\n" +
			webService + tlsSecret("kubernetes.io/tls", certificate, key), warnings: []string{
			"a.yaml:5: Ingress default/web: spec.tls[0]: the certificate in Secret default/web-tls is not for b.example.com: clients will refuse it"}},
		{name: "ACME cannot prove a wildcard", yaml: tlsIngress(`a.example.com, "*.example.com"`, `kubernetes.io/tls-acme: "true"`), errors: []string{
			"a.yaml:6: spec.tls[0].hosts: ACME gives no certificate of *.example.com, because Podyard does not change DNS: name each host, or give a Secret with a certificate"}},
		{name: "ACME without hosts", yaml: tlsIngress("", `podyard.dev/acme: "true"`), warnings: []string{
			"a.yaml:6: Ingress default/web: spec.tls[0]: no certificate is asked for: there are no hosts"}},
		{name: "no name of a Secret", yaml: strings.Replace(tlsIngress("a.example.com", ""), "    secretName: web-tls\n", "", 1), warnings: []string{
			"a.yaml:6: Ingress default/web: spec.tls[0]: without a secretName, clients are shown a certificate that nobody has signed"}},
		{name: "a Secret of another type", yaml: tlsIngress("a.example.com", "") + tlsSecret("Opaque", certificate, key), errors: []string{
			"a.yaml:7: spec.tls[0].secretName: Secret default/web-tls must be of type kubernetes.io/tls"}},
		{name: "no certificate", yaml: tlsIngress("a.example.com", "") + tlsSecret("kubernetes.io/tls", "sesame", key), errors: []string{
			"a.yaml:20: stringData[tls.crt]: must be a certificate in PEM" + owner}},
		{name: "a certificate of rubbish", yaml: tlsIngress("a.example.com", "") + tlsSecret("kubernetes.io/tls", "-----BEGIN CERTIFICATE-----\nc2VzYW1l\n-----END CERTIFICATE-----", key), errors: []string{
			"a.yaml:20: stringData[tls.crt]: holds a certificate that cannot be read" + owner}},
		{name: "no key", yaml: tlsIngress("a.example.com", "") + tlsSecret("kubernetes.io/tls", certificate, "sesame"), errors: []string{
			fmt.Sprintf("a.yaml:%d: stringData[tls.key]: must be a private key in PEM%s", keyLine, owner)}},
		{name: "a key with a password", yaml: tlsIngress("a.example.com", "") + tlsSecret("kubernetes.io/tls", certificate, "-----BEGIN ENCRYPTED PRIVATE KEY-----\nc2VzYW1l\n-----END ENCRYPTED PRIVATE KEY-----"), errors: []string{
			fmt.Sprintf("a.yaml:%d: stringData[tls.key]: must be a private key without a password%s", keyLine, owner)}},
		{name: "the key of another", yaml: tlsIngress("a.example.com", "") + tlsSecret("kubernetes.io/tls", certificate, otherKey), errors: []string{
			fmt.Sprintf("a.yaml:%d: stringData[tls.key]: must be the private key of the certificate in tls.crt%s", keyLine, owner)}},
	})
}
