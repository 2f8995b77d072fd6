"""The SFTP drop box: where partners leave files and find their answers."""
