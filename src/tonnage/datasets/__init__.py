"""Three validated tables from wherever interactions come: Online Retail, files of yours, a simulator."""
