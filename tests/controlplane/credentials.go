// The secrets of a control plane, new at each start: a token and a kubeconfig for the admin and for the controller
// manager, and the key that signs ServiceAccount tokens. All are readable by their owner alone. The serving certificate is not made here: the API server
// makes its own, and clients verify it against that.

package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"

	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"
)

// tokens are what the API server knows its clients by. The controller manager has a name of its own so that audit.log
// tells its requests from a test's.
type tokens struct {
	admin, controllerManager string
}

// writeCredentials writes what the API server needs to recognise its clients.
func writeCredentials(dir directory) (tokens, error) {
	t := tokens{admin: rand.Text(), controllerManager: rand.Text()}
	lines := fmt.Sprintf("%s,admin,1,\"system:masters\"\n%s,system:%s,2,\"system:masters\"\n",
		t.admin, t.controllerManager, controllerManagerName)
	if err := os.WriteFile(dir.tokens(), []byte(lines), 0o600); err != nil {
		return t, err
	}
	return t, writeServiceAccountKey(dir)
}

func writeServiceAccountKey(dir directory) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return err
	}
	block := pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der})
	return os.WriteFile(dir.serviceAccountKey(), block, 0o600)
}

// writeKubeconfigs writes files that need no other file.
func writeKubeconfigs(dir directory, client *apiClient, t tokens) error {
	if err := writeKubeconfig(dir, dir.kubeconfig(), client, t.admin); err != nil {
		return err
	}
	return writeKubeconfig(dir, dir.controllerManagerKubeconfig(), client, t.controllerManager)
}

func writeKubeconfig(dir directory, path string, client *apiClient, token string) error {
	const name = "controlplane"
	config := api.NewConfig()
	config.Clusters[name] = &api.Cluster{Server: client.server, CertificateAuthorityData: client.certificate}
	config.AuthInfos[name] = &api.AuthInfo{Token: token}
	config.Contexts[name] = &api.Context{Cluster: name, AuthInfo: name, Namespace: "default"}
	config.CurrentContext = name

	text, err := clientcmd.Write(*config)
	if err != nil {
		return err
	}
	return dir.replace(path, text)
}
