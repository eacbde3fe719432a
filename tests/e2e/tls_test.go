package e2e

import (
	"crypto/sha1"
	"crypto/tls"
	"fmt"
	"strings"
	"testing"
)

// fingerprint is the SHA-1 thumbprint of the certificate at addr, as vSphere shows it.
func fingerprint(addr string) (string, error) {
	c, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		return "", err
	}
	defer c.Close()
	sum := sha1.Sum(c.ConnectionState().PeerCertificates[0].Raw)
	return strings.ReplaceAll(fmt.Sprintf("% X", sum), " ", ":"), nil
}

func TestClientWithoutCertificateIsRefused(t *testing.T) {
	c, err := tls.Dial("tcp", dockerAddr, &tls.Config{InsecureSkipVerify: true})
	if err == nil {
		// TLS 1.3 tells the client only when it reads.
		defer c.Close()
		fmt.Fprintf(c, "GET /_ping HTTP/1.1\r\nHost: x\r\n\r\n")
		_, err = c.Read(make([]byte, 1))
	}
	if err == nil || !strings.Contains(err.Error(), "certificate required") {
		t.Fatalf("want 'certificate required', got %v", err)
	}
}
