// members ZIP...: `sha256 bytes name` of every member, an empty line after each ZIP.
package main

import (
	"archive/zip"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
)

func list(path string) error {
	archive, err := zip.OpenReader(path)
	if err != nil {
		return err
	}
	defer archive.Close()
	for _, member := range archive.File {
		content, err := member.Open()
		if err != nil {
			return err
		}
		digest := sha256.New()
		bytes, err := io.Copy(digest, content)
		if err != nil {
			return fmt.Errorf("%s: %w", member.Name, err)
		}
		fmt.Printf("%x %d %s\n", digest.Sum(nil), bytes, member.Name)
		content.Close()
	}
	fmt.Println()
	return nil
}

func main() {
	for _, path := range os.Args[1:] {
		if err := list(path); err != nil {
			fmt.Fprintln(os.Stderr, path, err)
			os.Exit(1)
		}
	}
}
