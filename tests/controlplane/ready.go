// Whether etcd and the API server answer. Each question is asked once; waiting is the cluster's (cluster.go).

package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"
)

const requestTimeout = 5 * time.Second

func etcdReady(p port) error {
	return ask(&http.Client{Timeout: requestTimeout}, p.url("http")+"/health", "")
}

// apiClient asks the API server as its admin.
type apiClient struct {
	server      string
	token       string
	certificate []byte
	http        *http.Client
}

// newAPIClient fails as long as the API server has not written its certificate.
func newAPIClient(dir directory, p port, token string) (*apiClient, error) {
	certificate, err := os.ReadFile(dir.servingCertificate())
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(certificate) {
		return nil, errors.New("no certificate in " + dir.servingCertificate())
	}
	return &apiClient{
		server:      p.url("https"),
		token:       token,
		certificate: certificate,
		http: &http.Client{
			Timeout:   requestTimeout,
			Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}},
		},
	}, nil
}

// get succeeds when the API server answers 200.
func (c *apiClient) get(path string) error { return ask(c.http, c.server+path, c.token) }

func ask(client *http.Client, url, token string) error {
	request, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(io.LimitReader(response.Body, 1000))
		return fmt.Errorf("%s: %s: %s", url, response.Status, body)
	}
	return nil
}
