package web

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/valyala/fasthttp/fasthttputil"
)

// pair makes a certificate that only its serial number tells from others, and its key, in PEM.
func pair(t *testing.T, serial int64) (cert, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(serial), DNSNames: []string{"mapper"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw})
}

// secure is a server with TLS, and its files.
type secure struct {
	*server
	Options
}

func serveTLS(t *testing.T) *secure {
	t.Helper()
	dir := t.TempDir()
	s := &secure{Options: options()}
	s.TLSCert, s.TLSKey = filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	s.replace(t, 1)
	s.server = serveTCP(t, s.Options, nil)
	return s
}

func (s *secure) write(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

func (s *secure) replace(t *testing.T, serial int64) {
	t.Helper()
	cert, key := pair(t, serial)
	s.write(t, s.TLSCert, cert)
	s.write(t, s.TLSKey, key)
}

// connect returns what was agreed on after a request was answered.
func (s *secure) connect(c *tls.Config) (tls.ConnectionState, error) {
	raw, err := s.dial()
	if err != nil {
		return tls.ConnectionState{}, err
	}
	c.InsecureSkipVerify = true // the serial number is what the test looks at
	conn := tls.Client(raw, c)
	defer conn.Close()
	if _, err := io.WriteString(conn, request("GET", "/health", "", "Connection: close")); err != nil {
		return tls.ConnectionState{}, err
	}
	_, err = io.ReadAll(conn)
	return conn.ConnectionState(), err
}

func (s *secure) serial(t *testing.T) int64 {
	t.Helper()
	state, err := s.connect(&tls.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return state.PeerCertificates[0].SerialNumber.Int64()
}

// wait waits until handshakes have looked at the files and see what they should.
func (s *secure) wait(t *testing.T, what string, seen func() bool) {
	t.Helper()
	for until := time.Now().Add(5 * time.Second); !seen(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(until) {
			t.Fatalf("%s: not within 5 seconds; the log: %s", what, s.logs)
		}
	}
}

func TestCertificateIsFollowed(t *testing.T) {
	s := serveTLS(t)
	if n := s.serial(t); n != 1 {
		t.Fatalf("serial number %d", n)
	}
	s.replace(t, 2)
	s.wait(t, "a new pair", func() bool { return s.serial(t) == 2 })

	refused := func() int { return strings.Count(s.logs.String(), "cannot be used") }
	s.write(t, s.TLSCert, []byte("no certificate"))
	before := refused() // a look between the two files of the new pair is one, too
	s.wait(t, "a broken file", func() bool { return s.serial(t) == 2 && refused() == before+1 })
	time.Sleep(2 * lookEvery)
	if n := s.serial(t); n != 2 || refused() != before+1 {
		t.Errorf("serial number %d, %d lines", n, refused()-before)
	}
	os.Remove(s.TLSCert)
	s.wait(t, "a missing file", func() bool { return s.serial(t) == 2 && refused() == before+2 })

	s.replace(t, 3)
	s.wait(t, "a good pair after a broken one", func() bool { return s.serial(t) == 3 })
	if strings.Contains(s.logs.String(), "PRIVATE") {
		t.Error("a key is in the log")
	}
}

func TestTLSBounds(t *testing.T) {
	s := serveTLS(t)
	f := func(c *tls.Config, ok bool) {
		t.Helper()
		state, err := s.connect(c)
		if (err == nil) != ok || ok && state.Version < tls.VersionTLS12 || ok && len(c.NextProtos) > 0 && state.NegotiatedProtocol != "http/1.1" {
			t.Errorf("%x, %q, %v", state.Version, state.NegotiatedProtocol, err)
		}
	}
	f(&tls.Config{}, true)
	f(&tls.Config{NextProtos: []string{"h2", "http/1.1"}}, true)
	f(&tls.Config{NextProtos: []string{"h2"}}, false)
	f(&tls.Config{MaxVersion: tls.VersionTLS12}, true)
	f(&tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}, false)
	// Plain HTTP, and a handshake that never ends, are closed.
	for _, raw := range []string{request("GET", "/health", ""), "\x16\x03\x01"} {
		conn, err := s.dial()
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(conn, raw)
		conn.SetReadDeadline(time.Now().Add(5 * time.Second))
		answer, err := io.ReadAll(conn)
		if errors.Is(err, os.ErrDeadlineExceeded) || strings.Contains(string(answer), "200 OK") {
			t.Errorf("%q: %q, %v", raw, answer, err)
		}
		conn.Close()
	}
}

func TestBadCertificateAtStart(t *testing.T) {
	dir := t.TempDir()
	cert, _ := pair(t, 1)
	_, key := pair(t, 2)
	for name, content := range map[string][]byte{"cert": cert, "key": key, "junk": []byte("junk")} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r, _ := local(nil, nil)
	for _, files := range [][2]string{{"cert", "key"}, {"junk", "key"}, {"cert", "missing"}, {"cert", ""}, {"", "key"}} {
		o := options()
		for i, at := range []*string{&o.TLSCert, &o.TLSKey} {
			if files[i] != "" {
				*at = filepath.Join(dir, files[i])
			}
		}
		if err := r.Serve(t.Context(), fasthttputil.NewInmemoryListener(), o); err == nil || !strings.Contains(err.Error(), "http.tls_cert") {
			t.Errorf("%v: %v", files, err)
		}
	}
}
