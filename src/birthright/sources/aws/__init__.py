"""One AWS account, read over HTTPS: few calls, signed here, paced by what AWS answers."""
