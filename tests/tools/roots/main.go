// roots prints the certificate authorities that Mozilla trusts, as PEM. The image has no other
// files to take them from, and the version in go.mod makes them the same on every machine.
package main

import (
	"encoding/pem"
	"log"
	"os"

	"golang.org/x/crypto/x509roots/fallback/bundle"
)

func main() {
	for root := range bundle.Roots() {
		// One that is trusted under a condition cannot be told so in PEM, so it is left out.
		if root.Constraint != nil {
			continue
		}
		block := &pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate}
		if err := pem.Encode(os.Stdout, block); err != nil {
			log.Fatal(err)
		}
	}
}
